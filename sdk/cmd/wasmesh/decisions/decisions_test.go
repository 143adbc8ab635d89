package decisions

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// shipped is a committed module at its defaults.
func shipped(t *testing.T, name string) *policytest.Configured {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../../../../wasm-policies", name, name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	module, err := policytest.Open(e, name, content)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		module.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	configured, err := module.With(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return configured
}

// recorded are decisions of the policy over requests of several sizes.
func recorded(t *testing.T, policy *policytest.Configured, hook policyabi.Hook) []*syncv1.Decision {
	t.Helper()
	var all []*syncv1.Decision
	for i, rows := range []int{1, 2, 50, 1000} {
		request := policytest.Typical(hook, rows)
		answer, fuel, err := policy.DecideBytes(request)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &syncv1.Decision{
			HostId: "host-0", Id: uint64(i + 1), Hook: hook.String(), TimeMs: int64(i), ModelId: "model",
			Outcome: syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED, Request: request, Answer: answer, Fuel: fuel,
			Generation: &syncv1.Generation{Id: "g", Policy: "p", Hook: hook.String()},
		})
	}
	return all
}

func always(policy Policy) func(*syncv1.Decision) (Policy, error) {
	return func(*syncv1.Decision) (Policy, error) { return policy, nil }
}

func TestRecordingRoundTrip(t *testing.T) {
	all := recorded(t, shipped(t, "evict-lru"), policyabi.HookEvict)
	var file bytes.Buffer
	if err := Write(&file, all); err != nil {
		t.Fatal(err)
	}
	once := file.Bytes()
	// One after the other is a recording as well: `cat a b` works.
	for _, content := range [][]byte{once, append(bytes.Clone(once), once...)} {
		got, err := Read(bytes.NewReader(content))
		if err != nil || len(got)%len(all) != 0 || len(got) == 0 {
			t.Fatalf("%d decisions, error %v", len(got), err)
		}
		for i := range got {
			if !proto.Equal(got[i], all[i%len(all)]) {
				t.Errorf("decision %d differs", i)
			}
		}
	}
}

// Whatever is cut off or changed, it is said, and nothing is made of half a recording.
func TestDamagedRecordings(t *testing.T) {
	var file bytes.Buffer
	if err := Write(&file, recorded(t, shipped(t, "evict-lru"), policyabi.HookEvict)); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	const headerBytes = 10 // Of gzip: its time and system may change without harm.
	for at := 0; at < len(whole); at += 1 + at/20 {
		if got, err := Read(bytes.NewReader(whole[:at])); err == nil || !strings.HasPrefix(err.Error(), "read recording: ") {
			t.Fatalf("cut off after %d of %d bytes: %d decisions, error %v", at, len(whole), len(got), err)
		}
		if at < headerBytes {
			continue
		}
		changed := bytes.Clone(whole)
		changed[at] ^= 0x10
		if _, err := Read(bytes.NewReader(changed)); err == nil {
			t.Fatalf("byte %d changed: no error", at)
		}
	}
	for name, content := range map[string][]byte{"text": []byte("hello"), "zipped text": zipped(t, "hello"), "a huge decision": zipped(t, "\xff\xff\xff\xff\x0f")} {
		if _, err := Read(bytes.NewReader(content)); err == nil || !strings.HasPrefix(err.Error(), "read recording: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func zipped(t *testing.T, text string) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReplay(t *testing.T) {
	lru, gdsf := shipped(t, "evict-lru"), shipped(t, "evict-gdsf")
	all := recorded(t, lru, policyabi.HookEvict)
	// Of other hooks, and of shadows: not this policy's to answer.
	all = append(all, recorded(t, shipped(t, "place-pack"), policyabi.HookPlace)...)
	shadow := proto.Clone(all[2]).(*syncv1.Decision)
	const flagsOffset = 18
	shadow.Request[flagsOffset] |= byte(policyabi.RequestFlagShadow)
	if all = append(all, shadow); !IsShadow(shadow) || IsShadow(all[2]) {
		t.Error("a shadow's record is not told from a decision")
	}

	same, err := Replay(all, always(lru))
	if err != nil || len(same) != 4 {
		t.Fatalf("%d replayed, error %v", len(same), err)
	}
	for _, r := range same {
		if !r.Same || r.Changed || !r.Exact() || r.First != r.FirstThen || r.First == "" {
			t.Errorf("decision %d by the same policy: %+v", r.Decision.GetId(), r)
		}
	}
	other, err := Replay(all, always(gdsf))
	if err != nil || len(other) != 4 {
		t.Fatalf("%d replayed, error %v", len(other), err)
	}
	if last := other[3]; last.Same || last.Exact() || last.First == "" || last.Err != nil {
		t.Errorf("another policy answers the same: first %s, then %s, error %v", last.First, last.FirstThen, last.Err)
	}
}

// Fuel belongs to exactness, and so does to abstain again.
func TestExact(t *testing.T) {
	all := recorded(t, shipped(t, "evict-lru"), policyabi.HookEvict)[:1]
	all[0].Fuel++
	r, err := Replay(all, always(shipped(t, "evict-lru")))
	if err != nil || !r[0].Same || r[0].Exact() {
		t.Errorf("with other fuel: %+v, error %v", r, err)
	}
	all[0].Outcome, all[0].Fuel = syncv1.DecisionOutcome_DECISION_OUTCOME_ABSTAINED, 5
	for _, c := range []struct {
		policy stub
		exact  bool
	}{
		{stub{fuel: 5}, true},
		{stub{fuel: 6}, false},
		{stub{fuel: 5, answer: all[0].GetAnswer()}, false},
		{stub{fuel: 5, err: errors.New("trap")}, false},
	} {
		r, err := Replay(all, always(c.policy))
		if err != nil || r[0].Exact() != c.exact {
			t.Errorf("%+v: %+v, error %v", c.policy, r, err)
		}
	}
}

type stub struct {
	answer []byte
	fuel   uint64
	err    error
}

func (s stub) Implements(policyabi.Hook) bool { return true }

func (s stub) DecideBytes([]byte) ([]byte, uint64, error) { return s.answer, s.fuel, s.err }

// A recording whose bytes are not what they say names the decision; a policy that answers nonsense is not the recording's fault.
func TestReplayDamaged(t *testing.T) {
	lru := shipped(t, "evict-lru")
	for name, damage := range map[string]func(*syncv1.Decision){
		"no request":      func(d *syncv1.Decision) { d.Request = nil },
		"half a request":  func(d *syncv1.Decision) { d.Request = d.Request[:len(d.Request)/2] },
		"half an answer":  func(d *syncv1.Decision) { d.Answer = d.Answer[:len(d.Answer)-1] },
		"a row too many":  func(d *syncv1.Decision) { d.Answer = append(bytes.Clone(d.Answer), d.Answer...) },
		"another version": func(d *syncv1.Decision) { d.Request[4] = 9 },
	} {
		all := recorded(t, lru, policyabi.HookEvict)
		damage(all[1])
		if _, err := Replay(all, always(lru)); err == nil || !strings.HasPrefix(err.Error(), "replay decision 2 of host host-0: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	all := recorded(t, lru, policyabi.HookEvict)
	r, err := Replay(all, always(stub{answer: []byte("nonsense")}))
	if err != nil || r[0].Err == nil || r[0].Same {
		t.Errorf("nonsense: %+v, error %v", r[0], err)
	}
}

// Other keep-values alone change nothing: what matters is who goes first of those that may.
func TestChanged(t *testing.T) {
	request := encode(&policyabi.EvictRequest{Rows: []policyabi.EvictRow{
		{Name: "busy", Flags: policyabi.CopyFlagInFlight}, {Name: "a"}, {Name: "b"},
	}})
	answer := func(keeps ...int32) []byte {
		view, err := policyabi.ViewEvict(bytes.Clone(request))
		if err != nil {
			t.Fatal(err)
		}
		answers := view.Answers()
		for row, keep := range keeps {
			answers.Add(row, keep, policyabi.ReasonRate)
		}
		return answers.Bytes()
	}
	then := []*syncv1.Decision{{HostId: "h", Hook: "evict", Request: request, Answer: answer(0, 1, 2)}}
	for _, c := range []struct {
		name    string
		now     stub
		first   string
		changed bool
	}{
		{"other values", stub{answer: answer(9, 10, 20)}, "a", false},
		{"another victim", stub{answer: answer(0, 2, 1)}, "b", true},
		{"abstains", stub{}, "", true},
		{"fails", stub{err: errors.New("trap")}, "", true},
		{"answers half", stub{answer: answer(1)}, "", true},
	} {
		r, err := Replay(then, always(c.now))
		if err != nil || len(r) != 1 || r[0].First != c.first || r[0].FirstThen != "a" || r[0].Changed != c.changed || r[0].Same {
			t.Errorf("%s: %+v, error %v", c.name, r, err)
		}
	}
}
