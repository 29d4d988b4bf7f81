import { exitCodeOf, exitCodes, reportError } from "./failure.ts";

/**
 * `node launch [NODE] [--lease TIME] [--allow-unsafe]`, well-formed: what a node's every start waits for. It is read here, so
 * that a start does not wait for the whole command line to load. Everything else, mistakes and --help too, is the program's.
 */
const launch =
  /^node\0launch(?:\0(?<node>[^-\0][^\0]*))?(?:\0--lease(?:\0|=)(?<lease>[1-9]\d{0,3})s?)?(?<unsafe>\0--allow-unsafe)?$/;

async function run(args: readonly string[]): Promise<void> {
  const match = launch.exec(args.join("\0"));
  if (match === null) return (await import("./program.ts")).runProgram(args);
  const { node = ".", lease, unsafe } = match.groups ?? {};
  const { runLaunch } = await import("./node/launch.ts");
  await runLaunch(node, {
    allowUnsafe: unsafe !== undefined,
    ...(lease === undefined ? {} : { lease: Number(lease) }),
  });
}

// A reader that has seen enough (`| head`) ends the program quietly, as it ends others; a full disk is told.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  reportError(new Error(`standard output cannot be written: ${error.code}`));
  process.exit(exitCodes.other);
});
// A log that nobody reads any more must not end a key manager.
process.stderr.on("error", () => {});

try {
  await run(process.argv.slice(2));
} catch (error) {
  reportError(error);
  process.exitCode = exitCodeOf(error);
}
