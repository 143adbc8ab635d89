package syncserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func planOf(sequence uint64, ids ...string) *syncv1.PolicyPlan {
	plan := &syncv1.PolicyPlan{Version: &syncv1.Version{Term: 1, Sequence: sequence}}
	for _, id := range ids {
		plan.Entries = append(plan.Entries, &syncv1.PolicyPlan_Entry{Generation: &syncv1.Generation{Id: id}})
	}
	return plan
}

// expectPlan compares the ids of the last plan, and how many plans came since the last call; "-" is none so far.
func (h *hostEnd) expectPlan(what, ids string, plans int) {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	got := "-"
	if h.plan != nil {
		var all []string
		for _, e := range h.plan.Entries {
			all = append(all, e.Generation.Id)
		}
		got = strings.Join(all, " ")
	}
	if got != ids || h.plans != plans {
		h.t.Errorf("%s: plan %q, %d new ones; want %q, %d", what, got, h.plans, ids, plans)
	}
	h.plans = 0
}

func TestPolicyPlans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		a := c.connect(hello("a"))
		a.expectPlan("before the ConfigMaps are read", "-", 0)
		plan := planOf(1, "g1")
		c.SetPolicies("default", plan, nil)
		a.expectPlan("at once", "g1", 1)
		c.SetPolicies("default", plan, nil)
		a.expectPlan("the same plan", "g1", 0)

		other := c.connect(&syncv1.Hello{HostId: "o", Epoch: 1, Namespace: "other"})
		other.expectPlan("of another namespace", "", 1)
		late := c.connect(hello("late"))
		late.expectPlan("on connecting", "g1", 1)

		// Of plans that follow each other faster than they are sent, the last arrives.
		for i := range uint64(1000) {
			c.SetPolicies("default", planOf(2+i, fmt.Sprint("g", 2+i)), nil)
		}
		for _, h := range []*hostEnd{a, late} {
			synctest.Wait()
			h.mu.Lock()
			if got := h.plan.Entries[0].Generation.Id; got != "g1001" {
				t.Errorf("the last plan that arrived has %s", got)
			}
			h.mu.Unlock()
		}
	})
}

func TestPolicyReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		changed := func() bool {
			synctest.Wait()
			select {
			case <-c.PoliciesChanged():
				return true
			default:
				return false
			}
		}
		b, a := c.connect(hello("b")), c.connect(hello("a"))
		c.connect(&syncv1.Hello{HostId: "o", Epoch: 1, Namespace: "other"})
		if !changed() {
			t.Error("connecting is no change")
		}
		report := &syncv1.PolicyReport{Entries: []*syncv1.PolicyReport_Entry{{Id: "g1"}}}
		b.say(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Policies{Policies: report}})
		if !changed() {
			t.Error("a report is no change")
		}
		hosts := c.PolicyHosts("default")
		if len(hosts) != 2 || hosts[0].ID != "a" || hosts[0].Report != nil || hosts[1].Report.GetEntries()[0].Id != "g1" {
			t.Errorf("hosts %v", hosts)
		}
		a.close()
		if !changed() || len(c.PolicyHosts("default")) != 1 {
			t.Errorf("after a has gone: %v", c.PolicyHosts("default"))
		}
		// What was said on another stream is of another time.
		b.close()
		c.connect(hello("b"))
		if hosts := c.PolicyHosts("default"); len(hosts) != 1 || hosts[0].Report != nil {
			t.Errorf("after b has connected again: %v", hosts)
		}
	})
}

func TestGetBlob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		h := c.connect(hello("a"))
		module := bytes.Repeat([]byte("0123456789"), 20_000)
		c.SetPolicies("default", planOf(1), map[string][]byte{"digest": module})
		get := func(digest string) (content []byte, largest int, err error) {
			stream, err := syncv1.NewSyncServiceClient(h.conn).GetBlob(t.Context(), &syncv1.GetBlobRequest{Digest: []byte(digest)})
			for err == nil {
				var response *syncv1.GetBlobResponse
				response, err = stream.Recv()
				content = append(content, response.GetChunk()...)
				largest = max(largest, len(response.GetChunk()))
			}
			return content, largest, err
		}
		content, largest, err := get("digest")
		if !errors.Is(err, io.EOF) || !bytes.Equal(content, module) || largest != 64<<10 {
			t.Errorf("%d bytes in chunks of %d, error %v", len(content), largest, err)
		}
		c.SetPolicies("default", planOf(2), nil)
		if _, _, err := get("digest"); status.Code(err) != codes.NotFound {
			t.Errorf("a module that nobody wants any more: %v", err)
		}
	})
}

// reply answers the i-th query.
func (h *hostEnd) reply(i int, done bool, decisions ...*syncv1.Decision) {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	id := h.queries[i].QueryId
	h.mu.Unlock()
	h.say(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Decisions{
		Decisions: &syncv1.DecisionsReply{QueryId: id, Decisions: decisions, Done: done},
	}})
}

func (c *controller) ask(ctx context.Context, query *syncv1.DecisionsQuery) <-chan []HostDecisions {
	answers := make(chan []HostDecisions, 1)
	go func() { answers <- c.Decisions(ctx, query) }()
	synctest.Wait()
	return answers
}

func summary(all []HostDecisions) (lines []string) {
	for _, h := range all {
		line := h.HostID
		for _, d := range h.Decisions {
			line += fmt.Sprint(" ", d.Id)
		}
		if h.Problem != "" {
			line += ": " + h.Problem
		}
		lines = append(lines, line)
	}
	return lines
}

func TestDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		if got := <-c.ask(t.Context(), &syncv1.DecisionsQuery{}); len(got) != 0 {
			t.Errorf("without hosts: %v", got)
		}
		a, b, mute := c.connect(hello("a")), c.connect(hello("b")), c.connect(hello("mute"))
		first := c.ask(t.Context(), &syncv1.DecisionsQuery{Hook: "evict", ModelId: "m", Limit: 2})
		second := c.ask(t.Context(), &syncv1.DecisionsQuery{})
		a.reply(0, false, &syncv1.Decision{Id: 9})
		a.reply(1, true, &syncv1.Decision{Id: 1})
		a.reply(0, true, &syncv1.Decision{Id: 8})
		a.reply(0, true, &syncv1.Decision{Id: 7})
		if q := a.queries[0]; q.Hook != "evict" || q.ModelId != "m" || q.Limit != 2 {
			t.Errorf("query %v", q)
		}
		b.close()
		start := time.Now()
		if got, want := summary(<-first), []string{"a 9 8", "b: the host has disconnected", "mute: no answer within 5s"}; !slices.Equal(got, want) {
			t.Errorf("answers %q, want %q", got, want)
		}
		if took := time.Since(start); took > decisionsTimeout {
			t.Errorf("it took %s", took)
		}
		if got := summary(<-second)[0]; got != "a 1" {
			t.Errorf("the second query: %q", got)
		}
		mute.reply(0, true, &syncv1.Decision{Id: 5}) // Too late: it harms nothing.

		ctx, cancel := context.WithCancel(t.Context())
		third := c.ask(ctx, &syncv1.DecisionsQuery{})
		cancel()
		if got := summary(<-third); len(got) != 2 {
			t.Errorf("of a caller that went away: %q", got)
		}
		if len(c.queries) != 0 {
			t.Errorf("%d queries are left", len(c.queries))
		}
	})
}

func TestDecisionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		a := c.connect(hello("a"))
		var all []<-chan []HostDecisions
		for range maxQueries + 1 {
			all = append(all, c.ask(t.Context(), &syncv1.DecisionsQuery{}))
		}
		if got := summary(<-all[maxQueries]); !slices.Equal(got, []string{"a: 16 queries wait for its answer already"}) {
			t.Errorf("one too many: %q", got)
		}
		large := &syncv1.Decision{Request: make([]byte, maxDecisionsBytes/4)}
		for range 5 {
			a.reply(0, false, large)
		}
		a.reply(0, true)
		got := (<-all[0])[0]
		if len(got.Decisions) != 3 || !strings.Contains(got.Problem, "ask for fewer") {
			t.Errorf("%d large decisions are kept, problem %q", len(got.Decisions), got.Problem)
		}
		for _, answer := range all[1:maxQueries] {
			<-answer
		}
	})
}
