package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxOfAKind bounds what a line may make, so that a slip of the finger does not take all memory.
const maxOfAKind = 100_000

// Parse reads a scenario. Errors name the line and what is wrong with it.
func Parse(text string) (*Scenario, error) {
	s := &Scenario{Seed: 1, Quiet: DefaultQuiet}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := s.line(words); err != nil {
			return nil, fmt.Errorf("read scenario: line %d: %w", i+1, err)
		}
	}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	s.Arrange()
	return s, nil
}

// line takes in one line.
func (s *Scenario) line(words []string) (err error) {
	kind, words := words[0], words[1:]
	if len(words) == 0 {
		return fmt.Errorf("%q needs something after it", kind)
	}
	switch kind {
	case "seed":
		s.Seed, err = strconv.ParseUint(words[0], 10, 64)
		return err
	case "quiet":
		if s.Quiet, err = time.ParseDuration(words[0]); err == nil && s.Quiet < 0 {
			err = fmt.Errorf("%v is no time to wait", s.Quiet)
		}
		return err
	case "host":
		h := Host{Name: words[0]}
		err = read(h.arguments(), words[1:])
		s.Hosts = append(s.Hosts, h)
		return err
	case "model":
		m := Model{Name: words[0], Load: 100 * time.Millisecond, Pull: 20 * time.Millisecond}
		err = read(m.arguments(), words[1:])
		s.Models = append(s.Models, m)
		return err
	case "hosts":
		return s.manyHosts(words)
	case "models":
		return s.manyModels(words)
	case "at":
		return s.step(words)
	}
	return fmt.Errorf("%q is none of seed, quiet, host, hosts, model, models, at", kind)
}

// read has arguments take in "name=value" words.
func read(arguments []argument, words []string) error {
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		i := slices.IndexFunc(arguments, func(a argument) bool { return a.name == name })
		if i < 0 {
			names := make([]string, len(arguments))
			for j, a := range arguments {
				names[j] = a.name + "="
			}
			return fmt.Errorf("%q is none of %s", word, strings.Join(names, ", "))
		}
		if !ok {
			return fmt.Errorf("%s needs a value, as in %s=VALUE", name, name)
		}
		if err := arguments[i].read(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// step reads what happens after "at".
func (s *Scenario) step(words []string) error {
	at, err := time.ParseDuration(words[0])
	if err != nil || at < 0 {
		return fmt.Errorf("%q is no time since the start, as 1.5s is one", words[0])
	}
	if len(words) < 2 {
		return fmt.Errorf("nothing happens at %v", at)
	}
	step := Step{At: at, Verb: Verb(words[1])}
	words = words[2:]
	subjects, model, arguments := step.shape()
	if subjects < 0 {
		return fmt.Errorf("nobody knows how to %q", step.Verb)
	}
	var plain []string
	for len(words) > 0 && !strings.Contains(words[0], "=") {
		plain, words = append(plain, words[0]), words[1:]
	}
	switch {
	case model && len(plain) != 1:
		return fmt.Errorf("%s needs the name of one model", step.Verb)
	case model:
		step.Model = plain[0]
	case subjects == anyNumber && len(plain) == 0 || subjects != anyNumber && len(plain) != subjects:
		return fmt.Errorf("%s needs %s, and there are %d", step.Verb, hostsWanted(subjects), len(plain))
	case subjects == 1:
		step.Host = plain[0]
	default:
		step.Hosts = plain
	}
	if err := read(arguments, words); err != nil {
		return fmt.Errorf("%s: %w", step.Verb, err)
	}
	if step.Count < 0 || step.Count > maxOfAKind {
		return fmt.Errorf("%s: count %d is not within 1..%d", step.Verb, step.Count, maxOfAKind)
	}
	s.Steps = append(s.Steps, step)
	return nil
}

func hostsWanted(n int) string {
	switch n {
	case anyNumber:
		return "the names of hosts"
	case 0:
		return "no names"
	case 1:
		return "the name of one host"
	}
	return fmt.Sprintf("the names of %d hosts", n)
}

// count reads the number of a line that makes many.
func count(words []string) (int, []string, error) {
	n, err := strconv.Atoi(words[0])
	if err != nil || n < 1 || n > maxOfAKind {
		return 0, nil, fmt.Errorf("%q is not a number within 1..%d", words[0], maxOfAKind)
	}
	return n, words[1:], nil
}

// manyHosts makes h0, h1, ... alike, in the zones z0, z1, ... in turn.
func (s *Scenario) manyHosts(words []string) error {
	n, words, err := count(words)
	if err != nil {
		return err
	}
	var h Host
	zones := 0
	arguments := append(h.arguments(), argument{name: "zones", read: number(&zones)})
	if err := read(arguments, words); err != nil {
		return err
	}
	for i := range n {
		h.Name = "h" + strconv.Itoa(i)
		if zones > 0 {
			h.Zone = "z" + strconv.Itoa(i%zones)
		}
		s.Hosts = append(s.Hosts, h)
	}
	return nil
}

// manyModels makes m0, m1, ... with sizes and times drawn from within bounds, the same for one seed and number.
func (s *Scenario) manyModels(words []string) error {
	n, words, err := count(words)
	if err != nil {
		return err
	}
	var m Model
	low := Model{Bytes: 4 << 20, Load: 100 * time.Millisecond, Pull: 20 * time.Millisecond}
	high := low
	arguments := m.arguments()
	for i := range arguments {
		switch a := &arguments[i]; a.name {
		case "size":
			a.read = span(bytes(&low.Bytes), bytes(&high.Bytes))
		case "load":
			a.read = span(duration(&low.Load), duration(&high.Load))
		case "pull":
			a.read = span(duration(&low.Pull), duration(&high.Pull))
		}
	}
	if err := read(arguments, words); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(s.Seed, 0x6d6f64656c73))
	for i := range n {
		m.Name = "m" + strconv.Itoa(i)
		m.Bytes = between(random, low.Bytes, high.Bytes)
		m.Load = time.Duration(between(random, int64(low.Load), int64(high.Load))).Round(time.Millisecond)
		m.Pull = time.Duration(between(random, int64(low.Pull), int64(high.Pull))).Round(time.Millisecond)
		s.Models = append(s.Models, m)
	}
	return nil
}

// span reads "low..high", or one value for both.
func span(low, high func(string) error) func(string) error {
	return func(text string) error {
		from, to, two := strings.Cut(text, "..")
		if !two {
			to = from
		}
		if err := low(from); err != nil {
			return err
		}
		return high(to)
	}
}

func between(random *rand.Rand, low, high int64) int64 {
	if high <= low {
		return low
	}
	return low + random.Int64N(high-low+1)
}
