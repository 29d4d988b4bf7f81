import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const children: ChildProcess[] = [];

/**
 * Starts a program of the bench; it and its parent talk by messages.
 *
 * @param script - Its path under `bench/`.
 */
export function start(script: string, args: readonly string[] = [], flags: readonly string[] = []): ChildProcess {
  const child = fork(join(import.meta.dirname, script), args, {
    execArgv: [...flags],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  children.push(child);
  return child;
}

/** The next message of a child; an error when it ends instead. */
export async function answerOf<T>(child: ChildProcess): Promise<T> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const ended = once(child, "exit", { signal }).then(
    () => {
      throw new Error("a process of the bench ended early");
    },
    () => undefined,
  );
  const [answer] = (await Promise.race([once(child, "message"), ended])) as [T];
  waiting.abort();
  return answer;
}

/** Ends every child that was started here. */
export async function endChildren(): Promise<void> {
  const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  await Promise.all(
    running.map((child) => {
      const ended = once(child, "exit");
      child.kill();
      return ended;
    }),
  );
}
