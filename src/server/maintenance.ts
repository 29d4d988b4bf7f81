import type { CustodyService } from "../custody/service.ts";

const everyMs = 10 * 60 * 1000;

/**
 * Does what is due without anyone's asking, at once and every ten minutes: rotates keys by the calendar, destroys
 * keys whose waiting time has passed, and drops imported material that has expired (which is of no use from its expiry on,
 * whether dropped or not).
 *
 * @param log - Told in one line of what could not be done; it is tried again the next time.
 * @returns Ends it, and waits for what is under way.
 */
export function startMaintenance(
  custody: Pick<CustodyService, "keys" | "rotation" | "imports">,
  log: (line: string) => void,
): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  const tasks = [
    { what: "keys could not be rotated", run: () => custody.rotation.rotateDue() },
    { what: "keys could not be destroyed", run: () => custody.keys.destroyDue() },
    { what: "expired material could not be dropped", run: () => custody.imports.expireDue() },
  ];
  const runAll = async () => {
    for (const { what, run } of tasks) {
      try {
        await run();
      } catch (error) {
        log(`${what}: ${error instanceof Error ? error.message : typeof error}`);
      }
    }
  };
  const begin = () => {
    running = running.then(runAll);
  };
  begin();
  const timer = setInterval(begin, everyMs).unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}
