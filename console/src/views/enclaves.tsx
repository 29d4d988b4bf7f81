import { api, type EnclaveInView } from "../api.ts";
import { useLoaded } from "../loading.ts";
import { ageOf } from "../parts/age.ts";
import { LastUnwrap } from "../parts/last-unwrap.tsx";
import { Paged } from "../parts/paged.tsx";
import { Problem } from "../parts/problem.tsx";
import { Section } from "../parts/section.tsx";
import { StateBadge } from "../parts/state-badge.tsx";
import { Table } from "../parts/table.tsx";
import { useSettings } from "../settings.tsx";

/** Enclaves whose keys are released here: the table of `strongroom fpc status` by their hosts' word, and the last use of each key. */
export function EnclavesView() {
  const { text } = useSettings();
  const { value, error, reload } = useLoaded(api.enclaves);
  return (
    <Section title={text("nav.enclaves")} intro={text("enclaves.intro")} onRefresh={reload}>
      <Problem error={error} />
      {value !== undefined && (
        <section class="card">
          {value.enclaves.length === 0 && <p class="empty">{text("enclaves.empty")}</p>}
          {value.enclaves.length > 0 && (
            <Paged items={value.enclaves} textOf={wordsOf}>
              {(enclaves) => (
                <Table
                  caption={text("nav.enclaves")}
                  columns={[
                    text("enclaves.enclave"),
                    text("enclaves.organisation"),
                    text("enclaves.chaincode"),
                    text("enclaves.measurement"),
                    text("enclaves.reported"),
                    text("enclaves.generation"),
                    text("enclaves.lastKeyUse"),
                  ]}
                >
                  {enclaves.map((each) => (
                    <EnclaveRow key={`${each.node}/${each.enclave}`} enclave={each} since={value.usesSince} />
                  ))}
                </Table>
              )}
            </Paged>
          )}
        </section>
      )}
    </Section>
  );
}

function EnclaveRow({ enclave: row, since }: { readonly enclave: EnclaveInView; readonly since: string | null }) {
  const { text, time } = useSettings();
  const { enclave, node, hostState, organisation, channel, chaincode, measurement, reported, lastKeyUse } = row;
  return (
    <tr data-enclave={enclave} data-host={node}>
      <td>
        <span class="mono" title={enclave}>
          {enclave.slice(0, 16)}
        </span>
        <span class="quiet block">{text("enclaves.host", { node })}</span>
        {hostState === "revoked" && <span class="bad-text block">{text("enclaves.hostRevoked")}</span>}
      </td>
      <td>{organisation}</td>
      <td>
        {chaincode}
        <span class="quiet block">{channel}</span>
      </td>
      <td class="mono" title={measurement}>
        {measurement.slice(0, 16)}
      </td>
      <td>
        {reported === null ? (
          <span class="quiet">{text("enclaves.notReported")}</span>
        ) : (
          <>
            <StateBadge state={reported.state} isPast={hostState === "revoked"} />
            <span class="quiet block">
              {text("enclaves.reportedAt", { at: time(reported.reportedAt), ago: ageOf(text, reported.reportedAt) })}
            </span>
          </>
        )}
      </td>
      <td>{reported?.generation ?? "–"}</td>
      <td>
        <LastUnwrap lastUnwrap={lastKeyUse} since={since} />
      </td>
    </tr>
  );
}

function wordsOf({ enclave, node, organisation, channel, chaincode, measurement, reported }: EnclaveInView): string {
  return [enclave, node, organisation, channel, chaincode, measurement, reported?.state ?? ""].join(" ");
}
