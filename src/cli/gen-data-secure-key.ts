import { parseArgs } from "node:util";
import { callFisco } from "../client/fisco-client.ts";
import { runDropIn } from "./drop-in.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { isLoopback, passphraseArgument, serverArgument } from "./fisco-arguments.ts";

const usage = `Usage: gen_data_secure_key.sh IP PORT DATAKEY [options]

Has a node's data key encrypted by the key manager at IP:PORT, and prints the cipherDataKey and the config.ini block.

  --data-key-file FILE      read the data key from FILE (mode 0600) instead of the command line, where others see it
  --v2, --v3                print only the block of FISCO BCOS 2 or 3 (default: both)
  -h, --help                this text

Exit codes: 0 done, 1 other failure, 2 usage, 3 refused by the key manager, 4 key manager unreachable.

Example:
  gen_data_secure_key.sh 127.0.0.1 8150 --data-key-file ./data.key --v3`;

await runDropIn("gen_data_secure_key", async (args, tell) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      "data-key-file": { type: "string" },
      v2: { type: "boolean", default: false },
      v3: { type: "boolean", default: false },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return void process.stdout.write(`${usage}\n`);
  const [host, port, text, ...rest] = positionals;
  if (rest.length > 0 || port === undefined)
    throw new CommandFailure(exitCodes.usage, "takes IP, PORT and DATAKEY", "--help shows every option");
  const server = serverArgument(host, port);
  using dataKey = passphraseArgument("data key", text, values["data-key-file"]);
  if (values["data-key-file"] === undefined)
    tell(
      "warning: the data key was on the command line, where other users and the shell's history see it; use --data-key-file",
    );
  if (!isLoopback(server.host)) tell(`warning: the data key crosses the network to ${server.host} in clear`);
  if (dataKey.byteLength === 0) tell("warning: the data key is empty: anyone can derive the node's keys from that");
  const cipherDataKey = (await dataKey.expose((bytes) => callFisco(server, "encDataKey", [bytes]))).toString("latin1");
  if (!/^(?:[0-9a-f]{32})+$/.test(cipherDataKey))
    throw new CommandFailure(exitCodes.other, "the key manager's answer is not a cipherDataKey");
  const both = values.v2 === values.v3;
  const blocks: string[] = [];
  if (both || values.v3)
    blocks.push(
      `${both ? "; FISCO BCOS 3\n" : ""}[storage_security]\nenable=true\nkey_center_url=${server.host}:${server.port}\ncipher_data_key=${cipherDataKey}\n`,
    );
  if (both || values.v2)
    blocks.push(
      `${both ? "; FISCO BCOS 2\n" : ""}[storage_security]\nenable=true\nkey_manager_ip=${server.host}\nkey_manager_port=${server.port}\ncipher_data_key=${cipherDataKey}\n`,
    );
  process.stdout.write(`CiherDataKey generated: ${cipherDataKey}\n`);
  process.stdout.write("Append these into config.ini to enable disk encryption:\n");
  process.stdout.write(blocks.join("\n"));
});
