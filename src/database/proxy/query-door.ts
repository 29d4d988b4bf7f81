import type { IncomingMessage, ServerResponse } from "node:http";
import type { Transform } from "node:stream";
import { recognise, stockText } from "../influxql/recognise.ts";
import type { Statement } from "../influxql/statement.ts";
import { type AnswerForm, answerDone, answerError, answerStatementError } from "./answers.ts";
import type { EncryptionCatalogue } from "./catalogue.ts";
import { EncryptedColumnInCsv } from "./csv-column.ts";
import * as changes from "./encryption-changes.ts";
import { forward } from "./forward.ts";
import { type Asker, askerOf, type Influxd, type Reply } from "./influxd.ts";
import { EncryptedColumnInJson } from "./json-column.ts";
import { NameLocks } from "./name-locks.ts";
import { askAfter, askBefore } from "./prior-question.ts";
import { hasForm, type QueryRequest, readQueryRequest } from "./query-request.ts";

/** Something an operator should know that no client is told. */
export interface ProxyEvent {
  readonly what: "rule kept" | "keys kept" | "sweep failed" | "request failed";
  readonly database?: string;
  readonly reason: string;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: QueryRequest;
  readonly statements: readonly Statement[];
  /** Undefined while it has not been read. */
  readonly body: Buffer | undefined;
  readonly form: AnswerForm;
  readonly asker: Asker;
}

/** Requests to /query: what they say about encryption is done here, the rest is influxd's. */
export class QueryDoor {
  readonly #influxd: Influxd;
  readonly #catalogue: EncryptionCatalogue;
  readonly #note: (event: ProxyEvent) => void;
  readonly #maximumFormBytes: number;
  readonly #locks = new NameLocks();

  constructor(
    influxd: Influxd,
    catalogue: EncryptionCatalogue,
    maximumFormBytes: number,
    note: (event: ProxyEvent) => void,
  ) {
    this.#influxd = influxd;
    this.#catalogue = catalogue;
    this.#maximumFormBytes = maximumFormBytes;
    this.#note = note;
  }

  /** Answers one request to /query. Rejects only for what is not foreseen. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const contentType = request.headers["content-type"] ?? "";
    const accept = request.headers.accept ?? "";
    const body = hasForm(request.method ?? "", contentType) ? await this.#readBody(request) : undefined;
    if (body === "too long") return this.#refuseLength(response, { accept, pretty: false });
    const target = request.url ?? "";
    const { found, ambiguous } = readQueryRequest({ target, contentType, body });
    const exchanges = found.map((query) => ({
      request,
      response,
      query,
      statements: recognise(query.text, query.nameOf) ?? [],
      body,
      form: { accept, pretty: query.pretty },
      asker: askerOf(query, request.headers.authorization),
    }));
    const [exchange] = exchanges;
    if (exchange === undefined || exchanges.every((each) => this.#isPlain(each)))
      await forward(this.#influxd, request, response, { body });
    else if (ambiguous)
      answerError(response, exchange.form, 400, "a semicolon inside a query string has to be written as %3B");
    else {
      const whole = body ?? (await this.#readBody(request));
      if (whole === "too long") return this.#refuseLength(response, exchange.form);
      await this.#answerNamed({ ...exchange, body: whole });
    }
  }

  #refuseLength(response: ServerResponse, form: AnswerForm): void {
    answerError(response, form, 413, `a request with a query may have ${this.#maximumFormBytes} bytes at most`);
  }

  async #readBody(request: IncomingMessage): Promise<Buffer | "too long"> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > this.#maximumFormBytes) return "too long";
    }
    return Buffer.concat(chunks);
  }

  #isPlain({ statements, query }: Exchange): boolean {
    const isForbidden = this.#catalogue.available() !== undefined;
    if (isForbidden && changes.firstUse(statements, query.database, this.#catalogue) !== undefined) return false;
    return statements.every((each) => each.kind === "other");
  }

  async #answerNamed(exchange: Exchange): Promise<void> {
    const missing = this.#catalogue.available();
    if (missing !== undefined && (await this.#refusesUse(exchange, missing))) return;
    await this.#locks.run(changes.changedDatabases(exchange.statements), async () => {
      if (changes.changesEncryption(exchange.statements, this.#catalogue)) await this.#change(exchange);
      else await this.#pass(exchange, [], []);
    });
  }

  /** Refuses a request that reads or writes an encrypted database, if the asker may know of that database at all. */
  async #refusesUse(exchange: Exchange, missing: string): Promise<boolean> {
    const { statements, query, asker, response, form } = exchange;
    const use =
      changes.firstUse(statements, query.database, this.#catalogue) ?? (await this.#firstShardDropped(exchange));
    if (use === undefined) return false;
    const visible = await this.#influxd.databases(asker);
    if (visible?.has(use.database) !== true) return false;
    const message = `database ${changes.quoted(use.database)} is encrypted: ${missing}`;
    answerStatementError(response, form, statements.length, use.index, message);
    return true;
  }

  /** The first DROP SHARD of an encrypted database's shard: influxd would forget it, and its data and key would stay. */
  async #firstShardDropped({ statements, query, asker }: Exchange): Promise<changes.Use | undefined> {
    const drops = statements.filter((each) => each.kind === "drop shard");
    if (drops.length === 0) return undefined;
    const encrypted = [...(await this.#influxd.shards(asker))].filter(([, name]) => this.#catalogue.isEncrypted(name));
    for (const drop of drops) {
      const written = /(?<=\s)\d+$/.exec(query.text.slice(drop.start, drop.end))?.[0];
      // Another number may stand behind a bound parameter: any of them then.
      const found = encrypted.find(([shard]) => written === undefined || shard === Number(written));
      if (found !== undefined) return { index: drop.index, database: found[1] };
    }
    return undefined;
  }

  /** The order is: influxd accepts, the rule is durable, influxd makes the database, influxd is asked whether it has it. */
  async #change(exchange: Exchange): Promise<void> {
    const { query, statements, asker, response, form } = exchange;
    const before = await askBefore(this.#influxd, asker, query.text, statements);
    if (!before.accepted) {
      answerError(response, form, before.status, before.message, before.reply);
      return;
    }
    const refuse = (refusal: changes.Refusal): void =>
      answerStatementError(response, form, statements.length, refusal.index, refusal.message, before.reply);
    const refusal =
      changes.refusalOfForm(statements, query.async) ??
      changes.refusalOfState(statements, before.databases, this.#catalogue);
    if (refusal !== undefined) return refuse(refusal);
    const [alter] = statements;
    if (alter?.kind === "alter encryption") return this.#convert(exchange, alter.database, alter.on, before.reply);
    const made: string[] = [];
    try {
      for (const database of changes.rulesLeftOver(statements, before.databases, this.#catalogue))
        await this.#catalogue.drop(database);
      for (const database of changes.databasesToMake(statements, before.databases, this.#catalogue)) {
        await this.#catalogue.create(database);
        made.push(database);
      }
    } catch (error) {
      await this.#drop(made);
      const index = statements.find((each) => each.kind === "create database")?.index ?? 0;
      return refuse({ index, message: `unable to change the encryption of a database: ${reasonOf(error)}` });
    }
    const dropped = statements.flatMap((each) =>
      each.kind === "drop database" && this.#catalogue.isEncrypted(each.database) ? [each.database] : [],
    );
    await this.#pass(exchange, made, dropped);
  }

  async #convert({ response, form }: Exchange, database: string, on: boolean, reply: Reply): Promise<void> {
    try {
      if (this.#catalogue.isEncrypted(database) !== on) await this.#catalogue.convert(database, on);
      answerDone(response, form, reply);
    } catch (error) {
      const message = `unable to convert database ${changes.quoted(database)}: ${reasonOf(error)}`;
      answerStatementError(response, form, 1, 0, message, reply);
    }
  }

  async #pass(exchange: Exchange, made: readonly string[], dropped: readonly string[]): Promise<void> {
    const { query, statements, request, response, body } = exchange;
    const stock = stockText(query.text, statements);
    const shown = statements.flatMap((each) => (each.kind === "show databases" ? [each.index] : []));
    const sweeps = statements.some((each) => each.kind === "drop shard" || each.kind === "drop retention policy");
    const mustSettle = sweeps || made.length > 0 || dropped.length > 0;
    await forward(this.#influxd, request, response, {
      body,
      change: stock === query.text ? undefined : query.withText(stock),
      transform: shown.length === 0 ? undefined : (contentType) => this.#column(contentType, shown),
      settle: mustSettle ? (status) => this.#settle(exchange, made, dropped, sweeps && status === 200) : undefined,
    });
  }

  #column(contentType: string, shown: readonly number[]): Transform | undefined {
    const isEncrypted = (database: string): boolean => this.#catalogue.isEncrypted(database);
    if (contentType.startsWith("application/json")) return new EncryptedColumnInJson(shown, isEncrypted);
    return contentType.startsWith("text/csv") ? new EncryptedColumnInCsv(isEncrypted) : undefined;
  }

  /**
   * Makes the rules agree with the databases that influxd has after a request. When influxd does not tell, nothing is
   * destroyed: a rule without a database costs nothing, a database without its key is lost.
   */
  async #settle(
    { asker }: Exchange,
    made: readonly string[],
    dropped: readonly string[],
    sweeps: boolean,
  ): Promise<void> {
    if (made.length > 0 || dropped.length > 0) {
      const existing = await askAfter(this.#influxd, asker);
      if (existing === undefined) {
        const reason = "influxd did not say whether it has the database";
        for (const database of made) this.#note({ what: "rule kept", database, reason });
        for (const database of dropped) this.#note({ what: "keys kept", database, reason });
      } else await this.#drop([...made, ...dropped].filter((database) => !existing.has(database)));
    }
    if (!sweeps) return;
    await this.#catalogue
      .sweep()
      .catch((error: unknown) => this.#note({ what: "sweep failed", reason: reasonOf(error) }));
  }

  async #drop(databases: readonly string[]): Promise<void> {
    for (const database of databases)
      await this.#catalogue
        .drop(database)
        .catch((error: unknown) => this.#note({ what: "keys kept", database, reason: reasonOf(error) }));
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
