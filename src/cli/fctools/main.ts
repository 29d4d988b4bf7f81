import { tableKinds } from "../../database/gm/envelope-table.ts";
import { runDropIn } from "../drop-in.ts";
import { runFctools } from "./fctools.ts";

await runDropIn("fctools", (args, tell) => runFctools(args, tell, tableKinds));
