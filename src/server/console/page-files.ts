import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join, relative, sep } from "node:path";
import { ServerError } from "../errors.ts";
import { securityHeaders } from "./same-origin.ts";

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Where the built page lies beside the sources, and beside the built package alike. */
export const pageFolder: string = join(import.meta.dirname, "../../../console/dist");

interface PageFile {
  readonly body: Buffer;
  readonly contentType: string;
  readonly etag: string;
  /** Its name holds the hash of its content, so that it never changes. */
  readonly hashed: boolean;
}

/** The page's files by request path: a fixed table, read once. Nothing that a request says becomes a file's path. */
export type PageFiles = ReadonlyMap<string, PageFile>;

/**
 * Reads the built page.
 *
 * @throws {ServerError} `CONSOLE_NOT_BUILT` when it is not there, or holds a file that no page has.
 */
export function readPageFiles(folder: string = pageFolder): PageFiles {
  const files = new Map<string, PageFile>();
  try {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (entry.isDirectory()) continue;
      const file = join(entry.parentPath, entry.name);
      const contentType = contentTypes[extname(entry.name)];
      if (!entry.isFile() || contentType === undefined) throw new Error(`${file} is no part of a page`);
      const body = readFileSync(file);
      const path = `/${relative(folder, file).split(sep).join("/")}`;
      const etag = `"${createHash("sha256").update(body).digest("base64url")}"`;
      files.set(path, { body, contentType, etag, hashed: path.startsWith("/assets/") });
    }
  } catch (cause) {
    throw new ServerError("CONSOLE_NOT_BUILT", undefined, cause);
  }
  const index = files.get("/index.html");
  if (index === undefined) throw new ServerError("CONSOLE_NOT_BUILT");
  files.set("/", index);
  return files;
}

/** Answers with a file of the page; false when the path is none. */
export function sendPageFile(files: PageFiles, request: IncomingMessage, response: ServerResponse): boolean {
  const file = files.get(request.url ?? "");
  if (file === undefined) return false;
  const headers = [
    ...securityHeaders,
    "etag",
    file.etag,
    "cache-control",
    file.hashed ? "public, max-age=31536000, immutable" : "no-cache",
  ];
  if (request.headers["if-none-match"] === file.etag) {
    response.writeHead(304, headers).end();
    return true;
  }
  headers.push("content-type", file.contentType, "content-length", String(file.body.length));
  response.writeHead(200, headers);
  response.end(request.method === "HEAD" ? undefined : file.body);
  return true;
}
