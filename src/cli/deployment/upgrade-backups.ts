/** The backups that upgrades make: how they are called, and which of them have had their day. */

const MOST_KEPT = 5
/** Nothing that a person would call a file of theirs. */
const FORM = /^upgrade-\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}-\d{3}Z\.db$/

/** In the order of time by name. Not `before-upgrade-`: those the database makes by itself, and keeps three of, which a version that ends again and again would fill. */
export function backupName (now: Date): string {
  return `upgrade-${now.toISOString().replaceAll(/[:.]/g, '-')}.db`
}

/** Of the files in their directory those that an upgrade made, but for the newest. */
export function outdatedBackups (names: readonly string[]): string[] {
  return names.filter(name => FORM.test(name)).sort().slice(0, -MOST_KEPT)
}
