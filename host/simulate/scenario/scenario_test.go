package scenario

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const everything = `# all there is
seed 7
hosts 2 capacity=64MiB zones=2 loads=3
host door gateway=true
host late capacity=1GiB zone=z9 skew=-3s later=true
models 3 size=4MiB..16MiB load=100ms..1s pull=1ms..5ms
model fraud size=1000 load=0s pull=2s declared=true surprise=true min=2 max=3 pinned=true priority=-1 idle-ttl=1m0s concurrency=4
at 2s crash h1 for=5s   # out of order
at 1.5s request fraud via=* count=100 over=50ms deadline=10s work=5ms
at 3s start late
at 3s drain h0
at 3s hang h0 for=1s
at 3s partition h0 h1 for=1s
at 3s cut h0 h1 for=1s
at 3s reset h0 h1
at 3s lose h0 h1 count=2
at 3s slow-peer h0 by=1ms for=1s
at 3s slow-disk h0 by=1ms for=1s
at 3s runtime-crash h0 for=1s
at 3s sticky-unload h0 for=1s
at 3s forget m1 on=h0
at 3s break m1 on=* for=1s
at 3s unreachable m1 for=1s
at 3s no-controller for=1s
at 3s clock-jump h0 by=1m0s
at 3s add m1
at 3s change m1 min=1 max=2 pinned=true priority=1
at 3s remove m1
quiet 1m
`

func TestParse(t *testing.T) {
	s, err := Parse(everything)
	if err != nil {
		t.Fatal(err)
	}
	wantHosts := []Host{
		{Name: "h0", Zone: "z0", Capacity: 64 << 20, Loads: 3}, {Name: "h1", Zone: "z1", Capacity: 64 << 20, Loads: 3},
		{Name: "door", Gateway: true}, {Name: "late", Zone: "z9", Capacity: 1 << 30, Skew: -3 * time.Second, Later: true},
	}
	if s.Seed != 7 || s.Quiet != time.Minute || !reflect.DeepEqual(s.Hosts, wantHosts) {
		t.Errorf("seed %d, quiet %v, hosts %+v", s.Seed, s.Quiet, s.Hosts)
	}
	if len(s.Models) != 4 {
		t.Fatalf("%d models", len(s.Models))
	}
	for _, m := range s.Models[:3] {
		if m.Bytes < 4<<20 || m.Bytes > 16<<20 || m.Load < 100*time.Millisecond || m.Load > time.Second || m.Pull < time.Millisecond {
			t.Errorf("model %+v is out of bounds", m)
		}
	}
	wantModel := Model{
		Name: "fraud", Bytes: 1000, Pull: 2 * time.Second, Declared: true, Surprise: true, Min: 2, Max: 3, Pinned: true, Priority: -1,
		IdleTTL: time.Minute, Concurrency: 4,
	}
	if s.Models[3] != wantModel {
		t.Errorf("model %+v, want %+v", s.Models[3], wantModel)
	}
	wantStep := Step{
		At: 1500 * time.Millisecond, Verb: Request, Host: "*", Model: "fraud", Count: 100, Over: 50 * time.Millisecond,
		Deadline: 10 * time.Second, Work: 5 * time.Millisecond,
	}
	if len(s.Steps) != 21 || !reflect.DeepEqual(s.Steps[0], wantStep) {
		t.Errorf("%d steps, the first %+v", len(s.Steps), s.Steps[0])
	}
	if s.End() != 7*time.Second || s.Requests() != 100 || s.Faults() != 20 {
		t.Errorf("end %v, %d requests, %d faults", s.End(), s.Requests(), s.Faults())
	}
	checkRoundTrip(t, s)
}

// What is printed is read as the same.
func checkRoundTrip(t *testing.T, s *Scenario) {
	t.Helper()
	again, err := Parse(s.String())
	if err != nil {
		t.Fatalf("%v in\n%v", err, s)
	}
	if !reflect.DeepEqual(again, s) {
		t.Errorf("printed as\n%v\nand read as\n%v", s, again)
	}
}

func TestParseRefuses(t *testing.T) {
	const some = "hosts 2 capacity=1MiB\nmodel m size=1MiB\n"
	for _, c := range []struct{ text, want string }{
		{"weather fine", `line 1: "weather" is none of seed, quiet, host`},
		{"seed", `"seed" needs something after it`},
		{"seed x", "line 1"},
		{"quiet long", "line 1"},
		{"quiet -1s", "no time to wait"},
		{"host a size=1", `"size=1" is none of capacity=, zone=`},
		{"host a", "host a needs a capacity"},
		{"host a capacity", "capacity needs a value"},
		{"host a capacity=1MB", `capacity: "1MB" is no number of bytes`},
		{"host a capacity=-1", "no number of bytes"},
		{"host a capacity=1GiB\nhost a capacity=1GiB", "host a twice"},
		{"hosts many capacity=1MiB", `"many" is not a number`},
		{"model m", "model m needs a size"},
		{"model m size=1MiB\nmodel m size=1MiB", "model m twice"},
		{"models 1000000 size=1MiB", "not a number within"},
		{some + "at noon crash h0", `line 3: "noon" is no time`},
		{some + "at 1s", "nothing happens at 1s"},
		{some + "at 1s burn h0", `nobody knows how to "burn"`},
		{some + "at 1s crash", "crash needs the name of one host, and there are 0"},
		{some + "at 1s crash h0 h1", "there are 2"},
		{some + "at 1s crash h7", `at 1s: crash: there is no host "h7"`},
		{some + "at 1s crash *", `there is no host "*"`},
		{some + "at 1s cut h0", "needs the names of 2 hosts"},
		{some + "at 1s partition", "needs the names of hosts"},
		{some + "at 1s request", "request needs the name of one model"},
		{some + "at 1s request x", `there is no model "x"`},
		{some + "at 1s request m via=h9", `there is no host "h9"`},
		{some + "at 1s request m count=-1", "count -1"},
		{some + "at 1s request m over=fast", "over"},
		{some + "at 1s drain h0 for=1s", `"for=1s" is none of`},
	} {
		if _, err := Parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.text, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(everything)
	f.Add("hosts 2 capacity=1MiB\nmodel m size=1MiB\nat 1s request m")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := Parse(text); err == nil {
			checkRoundTrip(t, s)
		}
	})
}
