package arbiter

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts of testdata answer into them; review the diff")

// TestScripts runs testdata/*.txt. A script is blocks of commands, each with the effects that they are to have below a
// line of dashes; commands are listed in script.run. This host is "a", and comes first for every model unless told
// otherwise; models are for runtime "r"; amounts of memory are bytes; time starts at 0s and moves by "wait" only.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newScript(t).play(string(content))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			g, w := strings.Split(got, "\n"), strings.Split(string(content), "\n")
			for i := range max(len(g), len(w)) {
				if i >= len(g) || i >= len(w) || g[i] != w[i] {
					t.Fatalf("%s:%d:\n got: %s\nwant: %s", file, i+1, at(g, i), at(w, i))
				}
			}
		})
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}

// script drives one Machine.
type script struct {
	t          *testing.T
	m          *Machine
	start, now time.Time
	timer      time.Time
	hosts      map[string]*members.Member
	copies     map[uint64]map[string]residency.Copy
	failures   map[string]*syncv1.Failure // By key and host.
	// order are hosts in the policy's order; without it, it is those with most free first.
	order     []string
	decisions uint64
	reserves  map[string]Reserve // The last one, by model.
	releases  map[string]ReleaseID
	out       []string
}

func newScript(t *testing.T) *script {
	start := time.UnixMilli(1_700_000_000_000)
	s := &script{
		t: t, start: start, now: start, hosts: map[string]*members.Member{}, copies: map[uint64]map[string]residency.Copy{},
		failures: map[string]*syncv1.Failure{}, reserves: map[string]Reserve{}, releases: map[string]ReleaseID{},
	}
	s.m = New(Config{
		Self: "a", View: s.view, Copies: s.copiesOf, Place: s.place,
		Failure: func(key uint64, host string) *syncv1.Failure { return s.failures[fmt.Sprint(key, host)] },
	})
	return s
}

func (s *script) view() *members.View {
	var all []members.Member
	for _, h := range s.hosts {
		all = append(all, *h)
	}
	return members.NewView("a", all)
}

func (s *script) copiesOf(key uint64, into []residency.Copy) []residency.Copy {
	first := len(into)
	for _, c := range s.copies[key] {
		into = append(into, c)
	}
	slices.SortFunc(into[first:], func(a, b residency.Copy) int { return strings.Compare(a.Host, b.Host) })
	return into
}

// place prints what the policy is asked.
func (s *script) place(_ time.Time, model placement.Model, hosts []placement.Host) placement.Decision {
	s.decisions++
	var rows []int
	line := fmt.Sprintf("place %s %s need %d:", model.ID, model.Purpose, model.Need[modelcache.HostMemory])
	for i, h := range hosts {
		line += fmt.Sprintf(" %s(%d", h.ID, h.Free[modelcache.HostMemory])
		for _, f := range []struct {
			set  bool
			name string
		}{
			{h.HasCopy, "has"}, {h.Excluded, "excluded"}, {h.Draining, "draining"}, {h.Preferred, "preferred"},
			{h.LoadsQueued > 0, "queued=" + strconv.Itoa(h.LoadsQueued)},
		} {
			if f.set {
				line += " " + f.name
			}
		}
		line += ")"
		rows = append(rows, i)
	}
	if model.Rate != 0 {
		line += fmt.Sprintf(" rate %d", model.Rate)
	}
	s.out = append(s.out, line)
	slices.SortStableFunc(rows, func(a, b int) int {
		if s.order != nil {
			return cmp.Compare(slices.Index(s.order, hosts[a].ID), slices.Index(s.order, hosts[b].ID))
		}
		return cmp.Compare(hosts[b].Free[modelcache.HostMemory], hosts[a].Free[modelcache.HostMemory])
	})
	var answers []policyabi.PlaceAnswer
	for _, row := range rows {
		able := placement.Unable(model, hosts[row]) == ""
		if able && (s.order == nil || slices.Contains(s.order, hosts[row].ID)) {
			answers = append(answers, policyabi.PlaceAnswer{Row: uint32(row)})
		}
	}
	return placement.Decision{Choice: placement.Choose(model, hosts, answers), ID: s.decisions}
}

func (s *script) play(content string) string {
	var result []string
	answers := false
	for line := range strings.Lines(content) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "---"):
			result = append(result, "---")
			result = append(result, s.out...)
			s.out, answers = nil, true
		case line == "":
			answers = false
			result = append(result, "")
		case answers:
		case strings.HasPrefix(line, "#"):
			result = append(result, line)
		default:
			result = append(result, line)
			s.run(strings.Fields(line))
		}
	}
	return strings.Join(result, "\n") + "\n"
}

func (s *script) step(event Event) {
	for _, effect := range s.m.Step(s.now, event) {
		s.print(effect)
	}
}

// run performs one command.
func (s *script) run(words []string) {
	name, args := words[0], words[1:]
	switch name {
	case "host": // host b free=10 cap=100 zone=z runtime=r draining down warming notready passive gateway
		s.host(args)
		s.step(ViewChanged{})
	case "gone": // gone b: it is not in the View any more.
		delete(s.hosts, args[0])
		s.step(ViewChanged{})
	case "model": // model m size=10 min=1 max=2 runtimes=r,s
		s.step(CatalogChanged{Upserts: []*syncv1.Model{row(args)}})
	case "remove":
		s.step(CatalogChanged{Removed: args})
	case "copies": // copies m b=loaded c=queued size=10: all there are.
		s.setCopies(args)
	case "fails": // fails m b retry=5s: why it failed there, and when it is tried again.
		f := &syncv1.Failure{Message: "bad file on " + args[1], TimeMs: s.now.UnixMilli()}
		for _, arg := range args[2:] {
			if retry, ok := strings.CutPrefix(arg, "retry="); ok {
				f.RetryAtMs = s.now.Add(s.duration(retry)).UnixMilli()
			} else {
				f.Reason = syncv1.FailureReason_FAILURE_REASON_CANNOT_FIT
			}
		}
		s.failures[fmt.Sprint(keyOf(args[0]), args[1])] = f
	case "policy": // policy c b: hosts that it names, in order; none: the default.
		s.order = args
	case "ask": // ask 1 m miss not=b,c passed=b by=c
		s.step(s.ask(args))
	case "granted": // granted m free=5 loaded: the answer to the last Reserve for m.
		s.step(s.answer(args, true))
	case "refused": // refused m NO_ROOM free=5
		s.step(s.answer(args, false))
	case "lost": // lost m: the host of the last Reserve did not answer.
		s.step(Reserved{ID: s.reserves[args[0]].ID, Err: errors.New("connection refused")})
	case "released": // released m yes
		s.step(Released{ID: s.releases[args[0]], Released: args[1] == "yes"})
	case "use": // use b m=2500/1000 n=100/1000/steady: thousandths.
		s.step(s.use(args))
	case "remember": // remember c m count=5 size=10 used=1h: as of that while ago.
		s.step(s.remember(args))
	case "wait": // wait 5s
		s.wait(s.duration(args[0]))
	default:
		s.t.Fatalf("unknown command %q", name)
	}
}

func (s *script) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// wait delivers the ticks on the way.
func (s *script) wait(d time.Duration) {
	until := s.now.Add(d)
	for !s.timer.IsZero() && !s.timer.After(until) {
		if s.timer.After(s.now) {
			s.now = s.timer
		}
		s.timer = time.Time{}
		before := len(s.out)
		s.step(Tick{})
		if len(s.out) > before {
			s.out = slices.Insert(s.out, before, "at "+s.now.Sub(s.start).String())
		}
	}
	s.now = until
}

func keyOf(model string) uint64 { return uint64(modelid.KeyOf("ns", model)) }

func (s *script) host(args []string) {
	h := s.hosts[args[0]]
	if h == nil {
		h = &members.Member{ID: args[0], Epoch: 1, Runtime: "r", Arbiter: args[0] == "a"}
		s.hosts[args[0]] = h
	}
	h.Live, h.RuntimeReady, h.Draining, h.Warming, h.Gateway = true, true, false, false, false
	h.Figures.Sequence++
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		n, _ := strconv.ParseInt(value, 10, 64)
		switch name {
		case "free":
			h.Figures.Free[modelcache.HostMemory] = n
		case "cap":
			h.Figures.Capacity[modelcache.HostMemory] = n
		case "copies":
			h.Figures.Copies = int(n)
		case "loads":
			h.Figures.LoadsQueued = int(n)
		case "epoch":
			h.Epoch = uint64(n)
		case "zone":
			h.Zone = value
		case "runtime":
			h.Runtime = value
		case "draining":
			h.Draining = true
		case "down":
			h.Live = false
		case "warming":
			h.Warming = true
		case "notready":
			h.RuntimeReady = false
		case "passive":
			h.Arbiter = false
		case "active":
			h.Arbiter = true
		default:
			s.t.Fatalf("host: %q", arg)
		}
	}
}

func row(args []string) *syncv1.Model {
	row := &syncv1.Model{Namespace: "ns", Id: args[0], Runtimes: []string{"r"}, Knobs: &syncv1.Knobs{}}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		n, _ := strconv.ParseUint(value, 10, 32)
		switch name {
		case "size":
			row.SizeHint = &syncv1.Resources{HostMemoryBytes: n}
		case "min":
			row.Knobs.MinCopies = uint32(n)
		case "max":
			row.Knobs.MaxCopies = uint32(n)
		case "runtimes":
			row.Runtimes = strings.Split(value, ",")
		}
	}
	return row
}

func (s *script) setCopies(args []string) {
	key := keyOf(args[0])
	s.copies[key] = map[string]residency.Copy{}
	for _, arg := range args[1:] {
		host, word, _ := strings.Cut(arg, "=")
		word, size, _ := strings.Cut(word, "/")
		c := residency.Copy{Host: host}
		c.Size, _ = strconv.ParseInt(size, 10, 64)
		for state := residency.Queued; state <= residency.Failed; state++ {
			if state.String() == word {
				c.State = state
			}
		}
		s.copies[key][host] = c
	}
	s.step(CopiesChanged{Keys: []uint64{key}})
}

func (s *script) ask(args []string) PlaceAsked {
	id, _ := strconv.Atoi(args[0])
	event := PlaceAsked{Ask: AskID(id), Model: args[1], Asker: "z"}
	for p := policyabi.PurposeMiss; p <= policyabi.PurposeBackground; p++ {
		if strings.EqualFold(p.String(), args[2]) {
			event.Purpose = p
		}
	}
	for _, arg := range args[3:] {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "not":
			event.Exclude = strings.Split(value, ",")
		case "passed":
			event.PassedOver = strings.Split(value, ",")
		case "by":
			event.Asker = value
		}
	}
	return event
}

func (s *script) answer(args []string, granted bool) Reserved {
	last := s.reserves[args[0]]
	event := Reserved{ID: last.ID, Granted: granted, State: residency.Queued}
	for _, arg := range args[1:] {
		if free, ok := strings.CutPrefix(arg, "free="); ok {
			h := s.hosts[last.Host]
			figures := h.Figures
			figures.Free[modelcache.HostMemory], _ = strconv.ParseInt(free, 10, 64)
			figures.Sequence++
			event.Figures = &figures
		} else if arg == "loaded" {
			event.State = residency.Loaded
		} else {
			event.Reason = peerv1.UnplacedReason(peerv1.UnplacedReason_value["UNPLACED_REASON_"+arg])
			event.Message = "says " + last.Host
			event.Failure = s.failures[fmt.Sprint(last.Key, last.Host)]
		}
	}
	return event
}

func (s *script) use(args []string) UseReported {
	event := UseReported{Host: args[0]}
	for _, arg := range args[1:] {
		model, value, _ := strings.Cut(arg, "=")
		parts := strings.Split(value, "/")
		concurrency, _ := strconv.ParseUint(parts[0], 10, 32)
		target, _ := strconv.ParseUint(parts[1], 10, 32)
		event.Uses = append(event.Uses, Use{
			Key: keyOf(model), ConcurrencyMilli: uint32(concurrency), TargetMilli: uint32(target), Steady: len(parts) > 2,
		})
	}
	return event
}

func (s *script) remember(args []string) Remembered {
	u := Usage{Key: keyOf(args[1]), LastUsed: s.now}
	for _, arg := range args[2:] {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "count":
			u.Record.Count, _ = strconv.ParseFloat(value, 64)
		case "size":
			u.Size, _ = strconv.ParseInt(value, 10, 64)
		case "used":
			u.LastUsed = s.now.Add(-s.duration(value))
		}
	}
	u.Record.At = u.LastUsed
	return Remembered{Host: args[0], Usage: []Usage{u}}
}

// print puts an effect into words.
func (s *script) print(effect Effect) {
	switch e := effect.(type) {
	case Answer:
		line := "answer"
		for _, id := range e.Asks {
			line += fmt.Sprintf(" %d", id)
		}
		if p := e.Result.Placed; p != nil {
			line += ": on " + p.Host
			if p.Already {
				line += ", already"
			}
		} else {
			u := e.Result.Unplaced
			line += fmt.Sprintf(": %s: %s", strings.TrimPrefix(u.Reason.String(), "UNPLACED_REASON_"), u.Message)
			if u.RetryAfter != 0 {
				line += fmt.Sprintf("; again in %v", u.RetryAfter)
			}
		}
		s.out = append(s.out, line)
	case Reserve:
		s.reserves[e.Model] = e
		line := fmt.Sprintf("reserve %s on %s for %s", e.Model, e.Host, e.Purpose)
		if e.Usage != nil {
			line += ", used"
		}
		if e.ExpectsFree {
			line += ", expects free"
		}
		if e.Final {
			line += ", final"
		}
		s.out = append(s.out, line)
	case Release:
		s.releases[e.Model] = e.ID
		s.out = append(s.out, fmt.Sprintf("release %s on %s: %s", e.Model, e.Host, e.Why))
	case Note:
		s.out = append(s.out, fmt.Sprintf("note %d: %s", e.Decision, e.Effect))
	case SetTimer:
		s.timer = e.At
	}
}
