import { killRounds } from "./kill-rounds.ts";
import { postgresql } from "./postgresql.ts";

killRounds("engine", postgresql, { suite: "intl", parameters: { blockSize: "8192", integrity: "tree" } });
