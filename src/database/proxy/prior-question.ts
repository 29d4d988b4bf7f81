import { withStatements } from "../influxql/recognise.ts";
import type { Statement } from "../influxql/statement.ts";
import type { Reply } from "./influxd.ts";
import { type Asker, databasesIn, type Influxd, resultIn } from "./influxd.ts";

/**
 * Put before a query, this makes influxd parse and authorise the whole of it and run none: influxd decides about a request as
 * a whole before its first statement, and stops at the first that fails. There is no query 0, and KILL takes the same
 * privilege as CREATE DATABASE.
 */
const prefix = "SHOW DATABASES;KILL QUERY 0;";
/** Stands for ALTER DATABASE, which influxd can't parse: the same privilege, never run. */
const standIn = "DROP SHARD 0";

/** influxd would run the query, and has these databases now; or it refuses, in its words and with its status. */
export type PriorAnswer =
  | { readonly accepted: true; readonly databases: ReadonlySet<string>; readonly reply: Reply }
  | { readonly accepted: false; readonly status: number; readonly message: string; readonly reply: Reply };

/**
 * Asks influxd whether it would run a query for this asker, before anything is made for it.
 *
 * @throws What the connection fails with; Error if influxd ran on after the statement that has to fail.
 */
export async function askBefore(
  influxd: Influxd,
  asker: Asker,
  text: string,
  statements: readonly Statement[],
): Promise<PriorAnswer> {
  const stock = withStatements(text, statements, (each) => {
    if (each.kind === "alter encryption") return standIn.padEnd(each.end - each.start);
    return each.kind === "create database" ? each.clause?.stock : undefined;
  });
  const reply = await influxd.ask(asker, prefix + stock);
  if (reply.status !== 200)
    return { accepted: false, status: reply.status, message: messageOf(reply.body, text, statements), reply };
  const databases = databasesIn(reply.body, 0);
  const stopped = resultIn(reply.body, 1)?.error !== undefined;
  if (databases !== undefined && stopped) return { accepted: true, databases, reply };
  throw new Error("influxd's answer to the question before the request is not understood");
}

/**
 * All databases that influxd has; undefined when it does not tell, or would not tell this asker all of them: SHOW DATABASES
 * alone hides what a user may not see, and the asker may have lost privileges since they were asked for.
 */
export async function askAfter(influxd: Influxd, asker: Asker): Promise<ReadonlySet<string> | undefined> {
  try {
    const answer = await askBefore(influxd, asker, "SHOW DATABASES", []);
    return answer.accepted ? answer.databases : undefined;
  } catch {
    return undefined;
  }
}

/** The error of a refused request, as if influxd had seen the client's text alone: its places, and its statement. */
function messageOf(body: Buffer, text: string, statements: readonly Statement[]): string {
  let message = body.toString("utf8").trim();
  try {
    const answer: { error?: unknown } = JSON.parse(message);
    if (typeof answer.error === "string") message = answer.error;
  } catch {
    // Not JSON: passed on as it is.
  }
  const privileged = statements.find((each) => "database" in each);
  const named = privileged === undefined ? "" : text.slice(privileged.start, privileged.end);
  return message
    .replace(/ at line 1, char (\d+)$/, (_, place: string) => ` at line 1, char ${Number(place) - prefix.length}`)
    .replace("statement 'KILL QUERY 0'", () => `statement '${named}'`);
}
