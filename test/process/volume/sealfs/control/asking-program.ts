/** Asks the control socket at a path for the rules, and prints the answer, or `closed` when there is none: `asking-program.ts SOCKET`. */
import { connect } from "node:net";

const [path = ""] = process.argv.slice(2);
const socket = connect({ path });
let answer = "";
socket.on("data", (piece) => {
  answer += piece.toString();
  if (answer.includes("\n")) socket.end();
});
socket.on("error", ({ code }: NodeJS.ErrnoException) => {
  answer ||= code === "EPIPE" || code === "ECONNRESET" ? "closed\n" : `${code}\n`;
});
socket.on("close", () => process.stdout.write(answer || "closed\n"));
socket.write('{"method":"rules","parameters":{}}\n');
