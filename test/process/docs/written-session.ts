/** Sessions as a page of docs/ shows them: its `sh` blocks are run as they are written, its `text` blocks are what they print. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../running-server.ts";

export interface Step {
  /** The heading it stands under. */
  readonly heading: string;
  readonly commands: string;
  /** Undefined when the page does not show what is printed. */
  readonly printed: string | undefined;
}

/** The steps of a page, in order. */
export function stepsOf(page: string): readonly Step[] {
  const steps: { heading: string; commands: string; printed: string | undefined }[] = [];
  let heading = "";
  for (const [, title, language, body = ""] of page.matchAll(/^#+ (.+)$|^```(\w+)\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title;
    else if (language === "sh") steps.push({ heading, commands: body, printed: undefined });
    else if (language === "text") {
      const last = steps.at(-1);
      if (last === undefined || last.printed !== undefined)
        throw new Error(`under ${JSON.stringify(heading)}, what is printed follows no commands`);
      last.printed = body;
    }
  }
  return steps;
}

/**
 * What standard output must be like for what a page shows: a line that is `…` stands for any lines, `…` in a line for any
 * text, and spaces for any number of them.
 */
export function patternOf(printed: string): RegExp {
  const lines = printed.trimEnd().split("\n");
  const quoted = lines.map((line) => {
    if (line.trim() === "…") return "(?:.*\\n)*";
    const parts = line.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/ +/g, " +"));
    return `${parts.join(".*")} *\\n`;
  });
  return new RegExp(`^${quoted.join("")}$`);
}

export interface Session {
  readonly exitCode: number | null;
  /** Standard output of each step that was reached. */
  readonly printed: readonly string[];
  readonly stderr: string;
}

const mark = "---- step ----";

/** Runs all steps in one bash in `folder`, which ends at the first command that fails; whatever is left running is ended. */
export async function runSession(
  steps: readonly Step[],
  folder: string,
  environment: Readonly<Record<string, string>>,
): Promise<Session> {
  const script = steps.map(({ commands }) => `echo '${mark}'\n${commands}`).join("");
  const child = spawn("bash", ["-e", "-c", script], {
    cwd: folder,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PATH: `${join(repository, "bin")}:${process.env.PATH}`, ...environment },
  });
  const endGroup = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // All of it has ended.
    }
  };
  process.once("exit", endGroup);
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  const [exitCode] = (await once(child, "exit")) as [number | null];
  endGroup();
  if (!child.stdout.readableEnded) await once(child.stdout, "end");
  process.off("exit", endGroup);
  const printed = output.stdout.split(`${mark}\n`).slice(1);
  return { exitCode, printed, stderr: output.stderr };
}

export function readPage(name: string): string {
  return readFileSync(join(repository, "docs", name), "utf8");
}
