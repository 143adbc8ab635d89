package cli

import (
	"slices"
	"strings"
	"testing"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"google.golang.org/protobuf/proto"
)

const digitsID = "digits__isvc-0123456789"

// withHistory is a mesh whose model was placed, evicted, and has failed on one host.
func withHistory(t *testing.T) *mesh {
	m := digits()
	failed := func(host, message string, at int64) *syncv1.Failure {
		c := proto.Clone(m.models[0].GetCopies()[0].GetCopy()).(*syncv1.Copy)
		c.State, c.Failure = syncv1.CopyState_COPY_STATE_FAILED, &syncv1.Failure{Message: message, TimeMs: at, Attempts: 3}
		added := proto.CloneOf(m.models[0].GetCopies()[0])
		added.HostId, added.Copy = host, c
		m.models[0].Copies = append(m.models[0].Copies, added)
		return c.GetFailure()
	}
	failed("fake-0", "an older failure", 1000)
	failed("fake-1", "no such bucket:\n\x1b[31mdigits\n", decisionTime)
	older := placed(t, digitsID)
	older.TimeMs, older.Id = decisionTime-1000, 10
	elsewhere := evicted(t, "digits-of-another-namespace", false)
	elsewhere.Id, elsewhere.TimeMs = 23, decisionTime+1000
	m.decisions = []*syncv1.Decision{older, placed(t, digitsID), evicted(t, digitsID, false), evicted(t, digitsID, true), elsewhere}
	m.warnings = []string{"host fake-0: no answer"}
	return m
}

func TestWhy(t *testing.T) {
	m := withHistory(t).serve(t)
	for _, name := range []string{"digits", digitsID} {
		out, errs, err := m.run(t, "why", name)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(rows(out), func(line string) bool { return line == "" })
		for i, line := range got { // How long ago depends on when this runs.
			before, after, found := strings.Cut(line, " ago on ")
			if found {
				got[i] = before[:strings.LastIndex(before, " ")] + " AGE ago on " + after
			}
		}
		want := []string{
			"MODEL ALIAS ROLE STATE COPIES SIZE LAST-USED HOSTS",
			digitsID + " digits active Loaded 1 3.0Mi <none> mlserver-1.x-0",
			"Last failure of " + digitsID + ", AGE ago on fake-1, attempt 3:",
			"no such bucket:",
			"[31mdigits",
			"Last placement: AGE ago on host-0, decision 11 by the built-in policy",
			"loading on host-1",
			"HOST SCORE REASON KNOWN",
			"host-1 7 Zone 0 B free of 2.0 GiB, 0 copies",
			"host-0 1.0 GiB free of 2.0 GiB, 0 copies",
			"Last evicted: AGE ago on host-1, decision 22 by policy mine, generation 0a1b2c3d4e5f, for 900 fuel: out of fuel, so the built-in policy decided",
			"the budget of fuel is used up",
			"evicted " + digitsID + " for incoming",
			"MODEL KEEP REASON KNOWN",
			digitsID + " -1 Recency 1.0 MiB, used 60s ago, no requests",
			"stays 5 Rate 1.0 MiB, used 1s ago, no requests",
		}
		if len(got) < len(want) || !slices.Equal(got[:len(want)], want) || !strings.HasPrefix(got[len(want)], "Last difference of a shadow: ") {
			t.Errorf("why %s:\n%s", name, out)
		}
		if strings.Contains(out, "digits-of-another-namespace") || strings.Contains(out, "decision 10 ") || strings.Count(out, "no such bucket") != 1 {
			t.Errorf("why %s says too much:\n%s", name, out)
		}
		const legend = "\nZone: its zone has fewer copies; Recency: by when it was last used; Rate: by how often it is used, what a reload costs, and its size.\n"
		if !strings.HasSuffix(out, legend) {
			t.Errorf("why %s does not explain its reasons:\n%s", name, out)
		}
		if errs != "Warning: host fake-0: no answer\n" || m.asked.Load().GetModel() != name {
			t.Errorf("standard error %q, asked for %q", errs, m.asked.Load().GetModel())
		}
	}
}

func TestWhyShowsAsMuchAsAsked(t *testing.T) {
	out, _, err := withHistory(t).serve(t).run(t, "why", "digits", "--candidates", "1")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "\n  stays ") || strings.Count(out, "  and 1 more: --candidates 2 shows them\n") != 3 {
		t.Errorf("output:\n%s", out)
	}
}

func TestWhyNothing(t *testing.T) {
	m := digits().serve(t)
	out, _, err := m.run(t, "why", "digits")
	if err != nil || !strings.Contains(out, "No decision about it is recorded") {
		t.Errorf("a model without decisions: error %v\n%s", err, out)
	}
	_, _, err = m.run(t, "why", "nobody", "-n", "default")
	if err == nil || !strings.Contains(err.Error(), `in namespace default is named "nobody"`) {
		t.Errorf("an unknown name: error %v", err)
	}
}

// A model that is gone from the catalog is still explained.
func TestWhyGone(t *testing.T) {
	m := digits()
	m.models, m.decisions = nil, []*syncv1.Decision{placed(t, "gone")}
	out, _, err := m.serve(t).run(t, "why", "gone")
	if err != nil || !strings.HasPrefix(strings.TrimSpace(out), "Last placement: ") {
		t.Errorf("error %v\n%s", err, out)
	}
}

func TestWhyDamaged(t *testing.T) {
	m := digits()
	damaged := placed(t, digitsID)
	damaged.Answer = []byte("nonsense")
	m.decisions = []*syncv1.Decision{damaged}
	if _, _, err := m.serve(t).run(t, "why", "digits"); err == nil || !strings.Contains(err.Error(), "decision 11 of host host-0") {
		t.Errorf("error %v", err)
	}
}
