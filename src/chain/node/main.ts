/**
 * The reference node's process, under FISCO BCOS's name and arguments: `fisco-bcos -c config.ini`. A launch adds
 * `--store-key-fd N` and `--node-key-fd N`: numbers of descriptors, never keys.
 */
import { parseArgs } from "node:util";
import { hardenThisProcess } from "../../volume/process-hardening.ts";
import { readChainNodeConfig } from "../build/config-reader.ts";
import { ChainNode } from "./chain-node.ts";
import { ChainNodeError } from "./errors.ts";
import { type Log, LogFiles } from "./log.ts";

const usage = "usage: fisco-bcos -c config.ini [--store-key-fd N] [--node-key-fd N]";

function say(line: string): void {
  process.stderr.write(`fisco-bcos: ${line}\n`);
}

function readArguments(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        config: { type: "string", short: "c", default: "config.ini" },
        "store-key-fd": { type: "string" },
        "node-key-fd": { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    return {
      help: values.help,
      config: values.config,
      ...descriptor("storeKeyFd", values["store-key-fd"]),
      ...descriptor("nodeKeyFd", values["node-key-fd"]),
    };
  } catch (cause) {
    if (cause instanceof ChainNodeError) throw cause;
    throw new ChainNodeError("CONFIG_UNUSABLE", `${(cause as Error).message}\n${usage}`, cause);
  }
}

function descriptor<Name extends "storeKeyFd" | "nodeKeyFd">(name: Name, text: string | undefined) {
  if (text === undefined) return {};
  if (!/^[1-9]\d{0,3}$/.test(text) || Number(text) < 3)
    throw new ChainNodeError("CONFIG_UNUSABLE", `${text} is not the number of a descriptor that a launch gives`);
  return { [name]: Number(text) } as { [key in Name]: number };
}

function exitCodeOf(error: unknown): number {
  const exit = (error as { exitCode?: unknown } | null)?.exitCode;
  return typeof exit === "number" ? exit : 1;
}

/** The message, what it hints at, and nothing else: a stack is of no use to an operator. */
function report(error: unknown, log?: Log): void {
  const message = error instanceof Error ? error.message : String(error);
  const hint = (error as { hint?: unknown } | null)?.hint;
  say(`error: ${message}`);
  if (typeof hint === "string") say(`hint: ${hint}`);
  log?.write("error", `[NODE]${message}`);
}

async function run(): Promise<void> {
  const { help, config: file, ...descriptors } = readArguments(process.argv.slice(2));
  if (help) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  for (const { ok, check, detail } of await hardenThisProcess()) if (!ok) say(`warning: ${check}: ${detail}`);
  const config = readChainNodeConfig(file);
  const log = config.log.enable
    ? new LogFiles(config.log.folder, { maxFileBytes: config.log.maxFileMiB << 20, keptFiles: 48 }, config.log.level)
    : { write: () => {} };
  if (config.unused.length > 0) log.write("info", `[NODE]without effect here: ${config.unused.join(", ")}`);
  let node: ChainNode | undefined;
  let stopping: Promise<void> | undefined;
  const stop = (exitCode: number): Promise<void> => {
    // A signal that comes while a node ends for a reason does not take that away.
    process.exitCode ||= exitCode;
    stopping ??= (async () => {
      log.write("info", "[NODE]stopping");
      try {
        await node?.[Symbol.asyncDispose]();
        log.write("info", "[NODE]stopped");
      } catch (error) {
        report(error, log);
        process.exitCode ||= 1;
      }
      process.exit();
    })();
    return stopping;
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void stop(0));
  process.on("SIGHUP", () => {});
  try {
    node = await ChainNode.start({
      config,
      log,
      ...descriptors,
      fatal: (error) => {
        report(error, log);
        void stop(exitCodeOf(error));
      },
    });
  } catch (error) {
    report(error, log);
    process.exit(exitCodeOf(error));
  }
}

try {
  await run();
} catch (error) {
  report(error);
  process.exitCode = exitCodeOf(error);
}
