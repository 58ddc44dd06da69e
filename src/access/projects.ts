/** Projects and their settings: kept in memory as a whole, because every request asks for one. */
import { randomBytes } from 'node:crypto'
import { TurnpikeError } from '../protocol/errors.ts'
import { applyPatch, isProjectId, PROJECT_ID_EXPECTED, type ProjectPatch, type ProjectSettings } from '../protocol/project-settings.ts'
import type { Store } from '../store/store.ts'
import { addProject, deleteProject, listProjects, setProjectSettings, setWebhookSecret } from './records.ts'

export const DEFAULT_PROJECT = 'default'
/** The project of the call page: its rooms never meet an application's. */
export const CALL_PROJECT = 'call'
const MOST_PROJECTS = 10_000

export type Project = {
  id: string
  /** Unix seconds. */
  createdAt: number
  /** Is it declared in the configuration file, and changed there alone? */
  managed: boolean
  /** What differs from the defaults. */
  stored: ProjectPatch
  settings: ProjectSettings
}

export class Projects {
  readonly #store: Store
  readonly #nowSeconds: () => number
  readonly #declared: ReadonlySet<string>
  readonly #projects = new Map<string, Project & { webhookSecret: string }>()

  /** Declared projects are made, or brought to what is declared. Throws invalid-request for a declaration that is wrong. */
  constructor (store: Store, declared: Readonly<Record<string, unknown>>, nowSeconds: () => number) {
    this.#store = store
    this.#nowSeconds = nowSeconds
    this.#declared = new Set(Object.keys(declared))
    this.read()
    store.transaction(() => {
      for (const id of [DEFAULT_PROJECT, CALL_PROJECT]) if (!this.#projects.has(id)) this.create(id, {})
      for (const [id, patch] of Object.entries(declared)) this.#declare(id, patch)
    })
  }

  /** Remembers what the database holds, and nothing else. */
  read (): void {
    this.#projects.clear()
    for (const row of listProjects(this.#store)) {
      const { stored, settings } = applyPatch({}, JSON.parse(row.settings))
      this.#projects.set(row.id, { id: row.id, createdAt: row.created_at, managed: this.#declared.has(row.id), stored, settings, webhookSecret: row.webhook_secret })
    }
  }

  get (id: string): Project | undefined {
    return this.#projects.get(id)
  }

  /** Throws not-found. */
  require (id: string): Project {
    const project = this.#projects.get(id)
    if (project === undefined) throw new TurnpikeError('not-found', `there is no project ${id.slice(0, 64)}`)
    return project
  }

  /** In the order of their ids, from after `cursor` on. */
  list (cursor: string, limit: number): Project[] {
    return [...this.#projects.values()].filter(({ id }) => id > cursor).sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit)
  }

  /** Throws invalid-request or project-exists. */
  create (id: string, patch: unknown): Project {
    if (!isProjectId(id)) throw new TurnpikeError('invalid-request', `id ${PROJECT_ID_EXPECTED}`, { fields: [{ field: 'id', message: PROJECT_ID_EXPECTED }] })
    if (this.#projects.has(id)) throw new TurnpikeError('project-exists', `there is a project ${id}`)
    if (this.#projects.size >= MOST_PROJECTS) throw new TurnpikeError('project-exists', `there may be ${MOST_PROJECTS} projects`)
    const { stored, settings } = applyPatch({}, patch)
    const project = { id, createdAt: this.#nowSeconds(), managed: false, stored, settings, webhookSecret: newWebhookSecret() }
    addProject(this.#store, { id, created_at: project.createdAt, settings: JSON.stringify(stored), webhook_secret: project.webhookSecret })
    this.#projects.set(id, project)
    return project
  }

  /** Throws not-found, project-managed or invalid-request. */
  update (id: string, patch: unknown): Project {
    const before = this.#requireOwn(id)
    const { stored, settings } = applyPatch(before.stored, patch)
    setProjectSettings(this.#store, id, JSON.stringify(stored))
    const after = { ...before, stored, settings }
    this.#projects.set(id, after)
    return after
  }

  /** Its keys go with it. Throws not-found, project-managed or project-built-in. */
  delete (id: string): void {
    this.#requireOwn(id)
    if (id === DEFAULT_PROJECT || id === CALL_PROJECT) throw new TurnpikeError('project-built-in', `the project ${id} is always there; PATCH it with enabled: false`)
    this.#store.transaction(() => deleteProject(this.#store, id))
    this.#projects.delete(id)
  }

  /** What webhooks of this project are signed with; empty where it was never asked for. */
  webhookSecret (id: string): string {
    const project = this.#projects.get(id)
    if (project === undefined || project.webhookSecret !== '') return project?.webhookSecret ?? ''
    return this.renewWebhookSecret(id)
  }

  renewWebhookSecret (id: string): string {
    const project = this.#projects.get(id)
    if (project === undefined) throw new TurnpikeError('not-found', `there is no project ${id.slice(0, 64)}`)
    const webhookSecret = newWebhookSecret()
    setWebhookSecret(this.#store, id, webhookSecret)
    this.#projects.set(id, { ...project, webhookSecret })
    return webhookSecret
  }

  #declare (id: string, patch: unknown): void {
    // What is no longer declared goes back to its default: the file says all there is.
    const existing = this.#projects.get(id) ?? this.create(id, patch)
    const { stored, settings } = applyPatch({}, patch)
    setProjectSettings(this.#store, id, JSON.stringify(stored))
    this.#projects.set(id, { ...existing, managed: true, stored, settings, webhookSecret: this.#projects.get(id)?.webhookSecret ?? '' })
  }

  #requireOwn (id: string): Project & { webhookSecret: string } {
    this.require(id)
    const project = this.#projects.get(id)
    if (project === undefined) throw new TurnpikeError('not-found', `there is no project ${id.slice(0, 64)}`)
    if (project.managed) throw new TurnpikeError('project-managed', `the project ${id} is declared in the configuration file`)
    return project
  }
}

function newWebhookSecret (): string {
  return `whsec_${randomBytes(24).toString('base64url')}`
}
