package admin

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestPoliciesAndRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serve(t, &world{changed: make(chan struct{})})
		list, err := client.ListPolicies(t.Context(), &adminv1.ListPoliciesRequest{})
		if err != nil || len(list.Policies) != 1 || list.Hooks[0].Policy != "p" {
			t.Errorf("policies %v, error %v", list, err)
		}
		for hook, want := range map[string]codes.Code{"evict": codes.OK, "place": codes.FailedPrecondition, "move": codes.InvalidArgument} {
			got, err := client.RollbackPolicy(t.Context(), &adminv1.RollbackPolicyRequest{Hook: hook})
			if status.Code(err) != want || want == codes.OK && !strings.Contains(got.Message, "built-in") {
				t.Errorf("%s: %v, error %v; want %v", hook, got, err, want)
			}
		}
	})
}

func TestListDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model := func(id, alias string) *syncv1.Row {
			return &syncv1.Row{Value: &syncv1.Row_Model{Model: &syncv1.Model{Namespace: "default", Id: id, Alias: alias}}}
		}
		w := &world{
			changed: make(chan struct{}),
			rows:    []*syncv1.Row{model("a1", "a"), model("a2", "a"), model("b1", "b")},
			recorded: map[string][]*syncv1.Decision{
				"controller": {{HostId: "controller", Id: 1, TimeMs: 1, ModelId: "a1"}},
				"h": {
					{HostId: "h", Id: 9, TimeMs: 9, ModelId: "a2", Victims: []string{"a1"}},
					{HostId: "h", Id: 8, TimeMs: 8, ModelId: "b1"},
					{HostId: "h", Id: 7, TimeMs: 7, ModelId: "a1"},
					{HostId: "h", Id: 6, TimeMs: 6, ModelId: "gone", Request: make([]byte, 3<<19)},
					{HostId: "h", Id: 5, TimeMs: 5, ModelId: "b1", Victims: []string{"gone"}},
				},
			},
		}
		client := serve(t, w)
		ask := func(request *adminv1.ListDecisionsRequest) (decisions, warnings []string, messages int) {
			stream, err := client.ListDecisions(t.Context(), request)
			for err == nil {
				var response *adminv1.ListDecisionsResponse
				if response, err = stream.Recv(); err == nil {
					messages++
				}
				for _, d := range response.GetDecisions() {
					decisions = append(decisions, fmt.Sprint(d.HostId, d.Id))
				}
				warnings = append(warnings, response.GetWarnings()...)
			}
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			return decisions, warnings, messages
		}
		for _, test := range []struct {
			request  *adminv1.ListDecisionsRequest
			want     []string
			messages int
		}{
			{&adminv1.ListDecisionsRequest{}, []string{"controller1", "h9", "h8", "h7", "h6", "h5"}, 2},
			{&adminv1.ListDecisionsRequest{Model: "a"}, []string{"controller1", "h9", "h7"}, 1},
			{&adminv1.ListDecisionsRequest{Model: "a", Limit: 1}, []string{"controller1", "h9"}, 1},
			{&adminv1.ListDecisionsRequest{Model: "gone"}, []string{"h6", "h5"}, 2},
		} {
			decisions, warnings, messages := ask(test.request)
			if !slices.Equal(decisions, test.want) || messages != test.messages {
				t.Errorf("%v: %q in %d messages, want %q in %d", test.request, decisions, messages, test.want, test.messages)
			}
			if !slices.Equal(warnings, []string{"host mute: no answer within 5s"}) {
				t.Errorf("warnings %q", warnings)
			}
		}
		w.asked = nil
		ask(&adminv1.ListDecisionsRequest{Hook: "evict", Model: "a", Limit: 3})
		if q := w.asked; len(q) != 2 || q[0].Hook != "evict" || q[0].Limit != 3 || q[1].ModelId != "a2" {
			t.Errorf("asked %v", q)
		}
	})
}
