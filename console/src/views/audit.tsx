import { useEffect, useState } from "preact/hooks";
import { type ApiError, type AuditRecord, type AuditVerdict, api } from "../api.ts";
import { asApiError } from "../loading.ts";
import { Problem } from "../parts/problem.tsx";
import { Records } from "../parts/records.tsx";
import { Section } from "../parts/section.tsx";
import { useSettings } from "../settings.tsx";

type Query = Parameters<typeof api.searchAudit>[0];

const pageSize = 50;

export function AuditView() {
  const { text } = useSettings();
  const [query, setQuery] = useState<Query>({ order: "newest", limit: pageSize });
  const [records, setRecords] = useState<readonly AuditRecord[]>();
  const [next, setNext] = useState<number | null>(null);
  const [error, setError] = useState<ApiError>();
  const load = async (from: Query, before: readonly AuditRecord[]) => {
    setError(undefined);
    try {
      const page = await api.searchAudit(from);
      setRecords([...before, ...page.records]);
      setNext(page.next);
    } catch (cause) {
      setError(asApiError(cause));
    }
  };
  useEffect(() => void load(query, []), [query]);
  return (
    <Section
      title={text("nav.audit")}
      intro={text("audit.intro")}
      onRefresh={() => setQuery({ ...query })}
      more={<VerifyChain />}
    >
      <Filters onSearch={setQuery} />
      <section class="card">
        <Problem error={error} />
        {records === undefined && error === undefined && <p class="empty">{text("common.loading")}</p>}
        {records !== undefined && <Records records={records} caption={text("nav.audit")} empty="audit.empty" />}
        {next !== null && records !== undefined && (
          <div class="buttons start">
            <button type="button" onClick={() => load({ ...query, cursor: next }, records)}>
              {text("action.older")}
            </button>
            <span class="note">{text("audit.more")}</span>
          </div>
        )}
      </section>
    </Section>
  );
}

const words = ["principal", "key", "node", "action"] as const;

function Filters({ onSearch }: { readonly onSearch: (query: Query) => void }) {
  const { text } = useSettings();
  const search = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const query: Record<string, unknown> = { order: "newest", limit: pageSize };
    for (const name of words) {
      const word = String(form.get(name) ?? "").trim();
      if (word !== "") query[name] = word;
    }
    for (const name of ["since", "until"]) {
      const at = String(form.get(name) ?? "");
      if (at !== "") query[name] = new Date(at).toISOString();
    }
    if (form.get("denied") !== null) query.denied = true;
    onSearch(query as Query);
  };
  return (
    <form class="filters card" onSubmit={search} onReset={() => onSearch({ order: "newest", limit: pageSize })}>
      <label>
        <span>{text("audit.principal")}</span>
        <input name="principal" placeholder={text("audit.principalHint")} maxLength={512} />
      </label>
      <label>
        <span>{text("audit.key")}</span>
        <input name="key" placeholder={text("audit.keyHint")} maxLength={512} />
      </label>
      <label>
        <span>{text("audit.node")}</span>
        <input name="node" maxLength={128} />
      </label>
      <label>
        <span>{text("audit.action")}</span>
        <input name="action" placeholder={text("audit.actionHint")} maxLength={128} />
      </label>
      <label>
        <span>{text("audit.since")}</span>
        <input name="since" type="datetime-local" step="1" />
      </label>
      <label>
        <span>{text("audit.until")}</span>
        <input name="until" type="datetime-local" step="1" />
      </label>
      <label class="check">
        <input name="denied" type="checkbox" />
        <span>{text("audit.deniedOnly")}</span>
      </label>
      <div class="buttons">
        <button type="reset">{text("audit.clear")}</button>
        <button type="submit" class="primary">
          {text("audit.search")}
        </button>
      </div>
    </form>
  );
}

function VerifyChain() {
  const { text } = useSettings();
  const [state, setState] = useState<{ busy?: boolean; verdict?: AuditVerdict; error?: ApiError }>({});
  const verify = async () => {
    setState({ busy: true });
    try {
      setState({ verdict: await api.verifyChain() });
    } catch (cause) {
      setState({ error: asApiError(cause) });
    }
  };
  const { busy = false, verdict, error } = state;
  return (
    <div class="verify">
      <button type="button" class="primary" disabled={busy} onClick={verify}>
        {text(busy ? "audit.verifying" : "audit.verify")}
      </button>
      <div role="status" class={verdict === undefined ? "" : verdict.ok ? "verdict good" : "verdict bad"}>
        {verdict?.ok === true && text("audit.verified", { records: verdict.records, head: verdict.head.slice(0, 16) })}
        {verdict?.ok === false &&
          text("audit.broken", {
            sequence: verdict.firstBad?.sequence ?? "?",
            reason: verdict.firstBad?.reason ?? "?",
          })}
      </div>
      <Problem error={error} />
    </div>
  );
}
