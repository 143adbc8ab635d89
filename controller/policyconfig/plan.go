package policyconfig

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// planBook numbers plans, and remembers since which a generation has been in them: what a host said of a generation
// before that, it said of a former life of it.
type planBook struct {
	current *syncv1.PolicyPlan
	version *syncv1.Version
	entered map[string]*syncv1.Version
}

func newPlanBook(term uint64) planBook {
	return planBook{version: &syncv1.Version{Term: term}, entered: map[string]*syncv1.Version{}}
}

// plan answers the present plan if it has these entries, or one with the next number. The first is a plan also when it
// has no entries: hosts may hold generations from before a restart.
func (b *planBook) plan(entries []*syncv1.PolicyPlan_Entry) *syncv1.PolicyPlan {
	same := func(x, y *syncv1.PolicyPlan_Entry) bool { return proto.Equal(x, y) }
	if b.current != nil && slices.EqualFunc(b.current.GetEntries(), entries, same) {
		return b.current
	}
	b.version = &syncv1.Version{Term: b.version.GetTerm(), Sequence: b.version.GetSequence() + 1}
	entered := make(map[string]*syncv1.Version, len(entries))
	for _, e := range entries {
		id := e.GetGeneration().GetId()
		entered[id] = b.entered[id]
		if entered[id] == nil {
			entered[id] = b.version
		}
	}
	b.entered = entered
	b.current = &syncv1.PolicyPlan{Version: b.version, Entries: entries}
	return b.current
}

// covers says that a report was made of a plan that had the generation, without a break since.
func (b *planBook) covers(report *syncv1.PolicyReport, id string) bool {
	entered, told := b.entered[id], report.GetPlanVersion()
	return entered != nil && told.GetTerm() == entered.GetTerm() && told.GetSequence() >= entered.GetSequence()
}

// entries of the plan for hosts, or for the controller itself. A generation has one role, the most important one.
func (m *Machine) entries(toSelf bool) []*syncv1.PolicyPlan_Entry {
	var entries []*syncv1.PolicyPlan_Entry
	for _, hook := range hooks() {
		if local(hook) != toSelf {
			continue
		}
		var ids []string
		add := func(g *Generation, role syncv1.PolicyRole) {
			if g != nil && !slices.Contains(ids, g.id()) {
				ids = append(ids, g.id())
				entries = append(entries, &syncv1.PolicyPlan_Entry{Generation: g.Meta, Role: role})
			}
		}
		h := m.hooks[hook]
		add(h.active, syncv1.PolicyRole_POLICY_ROLE_ACTIVE)
		add(h.candidate, syncv1.PolicyRole_POLICY_ROLE_CANDIDATE)
		add(h.shadow, syncv1.PolicyRole_POLICY_ROLE_SHADOW)
		add(h.previous, syncv1.PolicyRole_POLICY_ROLE_PREVIOUS)
	}
	return entries
}

// Active answers the generation that decides a hook; nil for the built-in policy.
func (m *Machine) Active(hook string) *Generation { return m.hooks[hook].active }

// Modules answers every module that is in a plan, uncompressed, by its digest as a string of bytes. Neither side changes
// the answer.
func (m *Machine) Modules() map[string][]byte {
	modules := map[string][]byte{}
	for _, h := range m.hooks {
		for _, g := range []*Generation{h.active, h.candidate, h.shadow, h.previous} {
			if g == nil || modules[string(g.Meta.GetModuleDigest())] != nil {
				continue
			}
			digest := string(g.Meta.GetModuleDigest())
			module := m.opened[digest]
			if module == nil {
				var err error
				if module, err = m.config.Open(g.Stored); err != nil {
					continue // It was opened when it was verified. A host that asks for it hears that it is not there.
				}
			}
			modules[digest] = module
		}
	}
	m.opened = modules
	return modules
}

// reportersOf answers who must have prepared a generation of the hook before it decides.
func reportersOf(hook string, in Input) []Host {
	if local(hook) {
		return []Host{{ID: localID, Report: in.Local}}
	}
	return in.Hosts
}

// entry is what a host says of a generation; nil when it has said nothing since the generation came into the plan.
func (m *Machine) entry(r Host, g *Generation) *syncv1.PolicyReport_Entry {
	book := &m.toHosts
	if local(g.Meta.GetHook()) {
		book = &m.toSelf
	}
	if r.Report == nil || !book.covers(r.Report, g.id()) {
		return nil
	}
	for _, e := range r.Report.GetEntries() {
		if e.GetId() == g.id() {
			return e
		}
	}
	return nil
}

// maxMessage bounds what is said of one policy: messages have names from modules in them, which may be megabytes, and are
// shown in annotations and Events.
const maxMessage = 2 << 10

// Clip makes a text one that can be sent: of bounded length, and UTF-8.
func Clip(text string) string {
	if len(text) > maxMessage {
		text = text[:maxMessage] + " ..."
	}
	return strings.ToValidUTF8(text, "?")
}

// blame says which host cannot use a generation, and why.
func blame(r Host, e *syncv1.PolicyReport_Entry) string {
	return Clip(fmt.Sprintf("host %s: %s", r.ID, cmp.Or(e.GetMessage(), "it gave no reason")))
}
