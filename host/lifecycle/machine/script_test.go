package machine

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts of testdata answer into them; review the diff")

// TestScripts runs testdata/*.txt. A script is blocks of commands, each with the effects that they are to have below
// a line of dashes; commands are listed in script.run. The runtime is "r"; time starts at 0s and moves by "wait" only.
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
			got := runScript(t, string(content))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if line, g, w := firstDifference(got, string(content)); line > 0 {
				t.Errorf("%s:%d:\n got: %s\nwant: %s", file, line, g, w)
			}
		})
	}
}

func firstDifference(got, want string) (int, string, string) {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return i + 1, a, b
		}
	}
	return 0, "", ""
}

// script drives one Machine.
type script struct {
	t         *testing.T
	m         *Machine
	start     time.Time
	now       time.Time
	timer     time.Time
	rows      map[string]*syncv1.Model
	switching map[string]string
	ids       map[string]modelcache.CopyID // "pull a": the id of the last such effect.
	names     map[modelcache.CopyID]string
	copies    map[string]*modelcache.Copy
	// policy is empty for scripts about something else: they go by recency, and are not told of rankings.
	policy    string
	decisions uint64
	// mesh is nil for a host that is alone.
	mesh *scriptMesh
	// offers are the last of each model.
	offers  map[string]Offer
	tickets TicketID
	out     []string
}

const dashes = "----"

func runScript(t *testing.T, content string) string {
	s := &script{
		t: t, start: time.Unix(1_700_000_000, 0), rows: map[string]*syncv1.Model{}, switching: map[string]string{},
		ids: map[string]modelcache.CopyID{}, names: map[modelcache.CopyID]string{}, copies: map[string]*modelcache.Copy{},
	}
	s.now = s.start
	var result []string
	for block := range strings.SplitSeq(strings.TrimSpace(content), "\n\n") {
		commands, _, _ := strings.Cut(block+"\n", dashes+"\n")
		s.out = nil
		spoke := false
		for line := range strings.SplitSeq(strings.TrimSpace(commands), "\n") {
			result = append(result, line)
			if !strings.HasPrefix(line, "#") {
				spoke = true
				s.run(strings.Fields(line))
			}
		}
		if spoke {
			result = append(result, dashes)
			result = append(result, s.out...)
			if s.m != nil {
				result = append(result, s.ledger())
			}
		}
		result = append(result, "")
	}
	return strings.TrimRight(strings.Join(result, "\n"), "\n") + "\n"
}

// order is the policy of this script, nil for recency: a copy's Keep is ten times its model's place.
func (s *script) order() modelcache.Order {
	if s.policy == "" {
		return nil
	}
	return func(r modelcache.Ranking) (ranked []modelcache.Ranked, decision uint64) {
		s.decisions++
		names := strings.Split(s.policy, ",")
		var rows []string
		for _, c := range r.Copies {
			if place := slices.Index(names, c.Model); place >= 0 {
				ranked = append(ranked, modelcache.Ranked{ID: c.ID, Keep: int32(10 * (place + 1)), Reason: 1000})
			}
			row := fmt.Sprintf("%s uses=%d lately=%d cost=%v inflation=%d", c.Model, c.Uses, lately(c.Rate), c.LoadCost, c.Inflation)
			if c.CopiesElsewhere > 0 {
				row += fmt.Sprintf(" elsewhere=%d", c.CopiesElsewhere)
			}
			if !c.May() {
				row += " barred"
			}
			rows = append(rows, row)
		}
		purposes := []string{"", "miss", "background", "worth"}
		s.out = append(s.out, fmt.Sprintf("ranking %d (%s) for %q (%d), free %d", s.decisions, purposes[r.Incoming.Purpose],
			r.Incoming.Model, r.Incoming.Need[modelcache.HostMemory], r.Free[modelcache.HostMemory]))
		for _, row := range rows {
			s.out = append(s.out, "  "+row)
		}
		return ranked, s.decisions
	}
}

// lately answers how many requests of just now make this rate.
func lately(rate uint64) int {
	return int(math.Round(float64(rate) * float64(modelcache.RateHalfLife) / math.Ln2 / float64(modelcache.RateUnit)))
}

func (s *script) ledger() string {
	l := s.m.Ledger().Stats()
	host := modelcache.HostMemory
	return fmt.Sprintf("[used %d reserved %d draining %d of %d]", l.Used[host], l.Reserved[host], l.Draining[host], l.Capacity[host])
}

// options splits "size=30 pinned" off the words of a command.
func options(words []string) (args []string, opts map[string]string) {
	opts = map[string]string{}
	for _, word := range words {
		if key, value, ok := strings.Cut(word, "="); ok {
			opts[key] = value
		} else {
			args = append(args, word)
		}
	}
	return args, opts
}

func (s *script) number(text string) int64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) duration(text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// fault reads "bad: text", "unreachable", "died", "cancelled" after the model's name.
func fault(words []string) *Fault {
	if len(words) == 0 {
		return nil
	}
	causes := map[string]Cause{
		"bad": BadModel, "unreachable": StorageUnavailable, "died": RuntimeUnavailable, "cancelled": Cancelled,
	}
	return &Fault{Cause: causes[words[0]], Message: strings.Join(words[1:], " ")}
}

func (s *script) run(words []string) {
	command := words[0]
	args, opts := options(words[1:])
	if len(args) == 0 {
		args = []string{""}
	}
	name := args[0]
	switch command {
	case "config": // config capacity=100 loads=1 pulls=2 estimates=2 waiters=3 guard=1m; so few that order shows
		s.policy = opts["order"] // order=b,a,c: so they go, and it is told; any other copy is not spoken of
		s.mesh = nil
		config := Config{
			Order: s.order(), MaxConcurrency: int(s.number(opts["concurrency"])),
			Runtime: "r", Capacity: modelcache.Resources{s.number(opts["capacity"])},
			Loads: int(s.number(opts["loads"])), Pulls: int(s.number(cmp.Or(opts["pulls"], "2"))),
			Estimates:       int(s.number(cmp.Or(opts["estimates"], "2"))),
			WaitersPerModel: int(s.number(opts["waiters-per-model"])), Waiters: int(s.number(opts["waiters"])),
			Envelope: Envelope{
				Pause: s.duration(opts["pause"]), MinResidency: s.duration(opts["residency"]),
				ReloadGuard: s.duration(opts["guard"]), EvictionsPerMinute: int(s.number(opts["evictions"])),
			},
		}
		if opts["mesh"] == "yes" { // This host is everything's home until "mesh" says otherwise.
			s.mesh, s.offers = &scriptMesh{home: map[uint64]bool{}, elsewhere: map[uint64]int{}}, map[string]Offer{}
			config.Mesh = s.mesh
		}
		s.m = New(config)
	case "ready": // ready [capacity=50] [loads=2] [default=7]
		s.step(RuntimeReady{Limits: Limits{
			Capacity: modelcache.Resources{s.number(opts["capacity"])}, Loads: int(s.number(opts["loads"])),
			DefaultModelBytes: s.number(opts["default"]),
		}})
	case "order": // order b,a,c: another policy
		s.policy = name
	case "survey":
		s.step(Survey{})
	case "lost":
		s.step(RuntimeLost{})
	case "forgot":
		s.step(RuntimeForgot{ID: s.copy(name).ID()})
	case "add": // add a b [size=30] [runtimes=x,r] [pinned=yes] [priority=3] [ttl=1m] [path=p]
		s.add(args, opts)
	case "remove":
		s.step(CatalogChanged{Removed: args, Switching: s.switching})
	case "switch": // switch target=active
		s.switching = opts
		s.step(CatalogChanged{Switching: opts})
	case "credentials":
		s.step(CredentialsChanged{})
	case "mesh", "uncovered", "homes", "room", "oldest", "take", "placed", "unplaced", "reserve", "give-up", "leave", "stay", "join", "remember":
		s.runMesh(command, args, opts)
	case "want": // want a 1
		s.step(Wanted{Model: name, Waiter: WaiterID(s.number(args[1]))})
	case "gone":
		s.step(WaiterGone{Model: name, Waiter: WaiterID(s.number(args[1]))})
	case "estimated": // estimated a bytes=10 | estimated a bad no such path
		s.step(Estimated{ID: s.id("estimate", name), Bytes: s.number(opts["bytes"]), Fault: fault(args[1:])})
	case "pulled":
		s.step(Pulled{
			ID: s.id("pull", name), Artifact: Artifact{Path: "/" + name, Bytes: s.number(opts["bytes"])},
			Took: s.duration(opts["took"]), Fault: fault(args[1:]),
		})
	case "loaded":
		s.step(LoadDone{
			ID: s.id("load", name), SizeBytes: s.number(opts["size"]), MaxConcurrency: int(s.number(opts["concurrency"])),
			Took: s.duration(opts["took"]), Fault: fault(args[1:]),
		})
	case "unloaded":
		s.step(Unloaded{ID: s.id("unload", name), Fault: fault(args[1:])})
	case "files-removed":
		s.step(FilesRemoved{Model: name})
	case "use": // one request comes and goes
		s.copy(name).Acquire(s.now)
		s.release(name)
	case "acquire":
		s.out = append(s.out, fmt.Sprintf("acquired %v", s.copy(name).Acquire(s.now)))
	case "release":
		s.release(name)
	case "wait": // wait 5s: whatever is due on the way happens
		s.wait(s.now.Add(s.duration(name)))
	case "load": // load a [bytes=10]: the whole way, for scripts about something else
		for _, name := range args {
			s.load(name, opts["bytes"])
		}
	default:
		s.t.Fatalf("unknown command %q", command)
	}
}

func (s *script) add(names []string, opts map[string]string) {
	var ev CatalogChanged
	ev.Switching = s.switching
	for _, name := range names {
		runtimes := strings.Split(opts["runtimes"], ",")
		if opts["runtimes"] == "" {
			runtimes = []string{"r"}
		}
		row := &syncv1.Model{
			Id: name, Runtimes: runtimes,
			Storage: &syncv1.StorageReference{Path: opts["path"]},
			Knobs: &syncv1.Knobs{
				Pinned: opts["pinned"] == "yes", Priority: int32(s.number(opts["priority"])), IdleTtlMs: s.duration(opts["ttl"]).Milliseconds(),
				MinCopies: uint32(s.number(opts["min"])),
			},
		}
		if size := s.number(opts["size"]); size > 0 {
			row.SizeHint = &syncv1.Resources{HostMemoryBytes: uint64(size)}
		}
		s.rows[name] = row
		ev.Upserts = append(ev.Upserts, row)
	}
	s.step(ev)
}

// load answers Estimate, Pull and Load of a model as they come.
func (s *script) load(name, bytes string) {
	for _, stage := range []string{"estimate", "pull", "load"} {
		key := stage + " " + name
		if _, asked := s.ids[key]; !asked {
			continue
		}
		verb := map[string]string{"estimate": "estimated", "pull": "pulled", "load": "loaded"}[stage]
		s.run([]string{verb, name, "bytes=" + bytes})
	}
}

func (s *script) release(name string) {
	if s.copy(name).Release() {
		s.out = append(s.out, "told")
		s.step(Idle{})
	}
}

func (s *script) wait(until time.Time) {
	for !s.timer.IsZero() && !s.timer.After(until) {
		s.now = later(s.now, s.timer)
		s.timer = time.Time{}
		s.step(Tick{})
	}
	s.now = until
}

// copy is the last one of this model that was published.
func (s *script) copy(name string) *modelcache.Copy {
	if c, ok := s.copies[name]; ok {
		return c
	}
	s.t.Errorf("no copy of %s", name)
	s.out = append(s.out, "THE SCRIPT IS WRONG: no copy of "+name)
	return &modelcache.Copy{}
}

// id answers, once, the id of the undertaking under way.
func (s *script) id(stage, name string) modelcache.CopyID {
	key := stage + " " + name
	id, ok := s.ids[key]
	if !ok {
		s.t.Errorf("%s is not under way", key)
		s.out = append(s.out, "THE SCRIPT IS WRONG: "+key+" is not under way")
	}
	delete(s.ids, key)
	return id
}

func (s *script) step(ev Event) {
	for _, effect := range s.m.Step(s.now, ev) {
		if line := s.describe(effect); line != "" {
			s.out = append(s.out, line)
		}
	}
}

func (s *script) note(stage, name string, id modelcache.CopyID) string {
	s.ids[stage+" "+name] = id
	s.names[id] = name
	return stage + " " + name
}

func (s *script) describe(effect Effect) string {
	switch e := effect.(type) {
	case Estimate:
		return s.note("estimate", e.Model.GetId(), e.ID)
	case Pull:
		return s.note("pull", e.Model.GetId(), e.ID)
	case Load:
		return s.note("load", e.Model.GetId(), e.ID)
	case Unload:
		return s.note("unload", e.Model, e.ID)
	case CancelLoad:
		return "cancel " + s.names[e.ID]
	case RemoveFiles:
		return "remove files of " + e.Model
	case Evicted:
		if e.Decision != 0 {
			return fmt.Sprintf("evict %s, unused for %v, by decision %d: keep %d, reason %d", e.Model, e.Unused, e.Decision, e.Keep, e.Reason)
		}
		return fmt.Sprintf("evict %s, unused for %v", e.Model, e.Unused)
	case Decided:
		return fmt.Sprintf("decision %d for %s: %v went, limits %v", e.Decision, e.Model, e.Victims, e.Limits)
	case Worth:
		return fmt.Sprintf("worth %v, lately %d", e.Reclaim, lately(e.Rate))
	case SetTimer:
		s.timer = e.At
		if e.At.IsZero() {
			return "timer off"
		}
		return fmt.Sprintf("timer at %v", e.At.Sub(s.start))
	case Wake:
		if e.Copy != nil {
			return fmt.Sprintf("wake %v with %s", e.Waiters, s.names[e.Copy.ID()])
		}
		return fmt.Sprintf("wake %v: %v: %s", e.Waiters, e.Err.Outcome, e.Err.Message)
	case Publish:
		return s.describePublish(e)
	}
	return s.describeMesh(effect)
}

func (s *script) describePublish(e Publish) string {
	if e.Copy != nil {
		s.copies[e.Model] = e.Copy
	}
	words := []string{e.Model, "is", e.State.String()}
	if e.Offered {
		words = append(words, "here to nobody")
	}
	if !e.Size.IsZero() {
		words = append(words, fmt.Sprintf("(%d)", e.Size[modelcache.HostMemory]))
	}
	if f := e.Failure; f != nil {
		reason := strings.ToLower(strings.TrimPrefix(f.Reason.String(), "FAILURE_REASON_"))
		words = append(words, fmt.Sprintf("after failure %d (%s: %s), retry at %v", f.Attempts, reason, f.Message, f.RetryAt.Sub(s.start)))
	}
	if e.MaxConcurrency > 0 {
		words = append(words, fmt.Sprintf("taking %d at once", e.MaxConcurrency))
	}
	if (e.State == Loaded) != (e.Copy != nil) {
		words = append(words, "WITH THE WRONG COPY")
	}
	return strings.Join(slices.Compact(words), " ")
}
