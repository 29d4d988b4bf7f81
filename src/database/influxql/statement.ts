/** The databases whose data a statement reads or writes. */
export interface DatabaseUse {
  readonly named: readonly string[];
  /** The request's default database (`db=`) as well. */
  readonly byDefault: boolean;
}

interface Part {
  /** Place among the statements of the query, from 0; InfluxDB's `statement_id`. */
  readonly index: number;
  /** Offsets into the text, in UTF-16 units, from the first token to the end of the last. */
  readonly start: number;
  readonly end: number;
  readonly uses: DatabaseUse;
}

/** `CREATE DATABASE`. With an encryption clause, `stock` is the statement without it, as long as the statement was. */
export interface CreateDatabase extends Part {
  readonly kind: "create database";
  readonly database: string;
  readonly clause?: { readonly on: boolean; readonly stock: string };
}

/** `ALTER DATABASE x ENCRYPTION ON|OFF`, which InfluxDB does not know at all. */
export interface AlterEncryption extends Part {
  readonly kind: "alter encryption";
  readonly database: string;
  readonly on: boolean;
}

export interface DropDatabase extends Part {
  readonly kind: "drop database";
  readonly database: string;
}

export interface OtherStatement extends Part {
  readonly kind: "show databases" | "drop shard" | "drop retention policy" | "other";
}

export type Statement = CreateDatabase | AlterEncryption | DropDatabase | OtherStatement;

/** Finds what a bound parameter (`$name`) stands for when a name is wanted; undefined when it is no identifier. */
export type NameOfParameter = (parameter: string) => string | undefined;
