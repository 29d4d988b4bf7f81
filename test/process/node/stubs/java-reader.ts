/**
 * Reads a key as Besu does (KeyPairUtil over Files.readAllLines): the file's size is asked first, then all of it is read as
 * UTF-8 and split into lines, of which there must be exactly one. `java-reader.ts PATH`.
 */
import { accessSync, constants, readFileSync, statSync } from "node:fs";

const path = process.argv[2] ?? "";
accessSync(path, constants.R_OK);
if (!statSync(path).isFile()) throw new Error(`${path} is not a regular file`);
const text = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
const lines = text.split(/\r\n|[\n\r]/);
if (lines.at(-1) === "") lines.pop();
if (lines.length !== 1) throw new Error("Supplied file does not contain valid keyPair pair.");
process.stdout.write(`${lines[0]?.replace(/^0x/, "")}\n`);
