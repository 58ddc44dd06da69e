/** No check holds up the others, and none breaks them: what takes too long or fails is unknown, with its reason. */
import { finding, type CheckName, type Finding } from '../../protocol/findings.ts'

export async function bounded (check: CheckName, subject: string, deadlineMs: number, work: () => Promise<Finding[]> | Finding[]): Promise<Finding[]> {
  let deadline: NodeJS.Timeout | undefined
  try {
    return await Promise.race([
      (async () => await work())(),
      new Promise<Finding[]>(resolve => {
        deadline = setTimeout(() => resolve([finding(check, subject, 'unknown', `It took longer than ${deadlineMs / 1000} s.`, 'Ask again.')]), deadlineMs)
      }),
    ])
  } catch (error) {
    return [finding(check, subject, 'unknown', `It could not be looked at: ${error instanceof Error ? error.message : String(error)}.`)]
  } finally {
    clearTimeout(deadline)
  }
}
