import { type ChildProcess, spawn } from "node:child_process";

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program on a terminal of its own, made by script(1), and types one answer at each prompt that ends in a colon. What
 * both outputs have shown is `stdout`.
 */
export function runOnTerminal(program: string, args: readonly string[], answers: readonly string[]): Promise<Outcome> {
  const command = [program, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const child = spawn("script", ["-qec", command, "/dev/null"], { stdio: "pipe", detached: true });
  const left = [...answers];
  let seen = "";
  child.stdout.on("data", (piece) => {
    seen += piece;
    for (const answer of /: ?$/.test(seen) ? left.splice(0, 1) : []) {
      seen = "";
      child.stdin.write(answer);
    }
  });
  return outcomeOf(child);
}

/** What a child comes to, from now on. */
export function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name]?.setEncoding("utf8").on("data", (piece) => {
      text[name] += piece;
    });
  return new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal, ...text })));
}
