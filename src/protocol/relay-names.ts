/** Names of relays that more than one folder knows. */

/** The relay that the settings of `relay` describe: its realm, and its label in metrics and usage. */
export const FIRST_RELAY = 'turnpike'
