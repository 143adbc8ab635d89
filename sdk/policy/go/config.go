package policy

import (
	"errors"
	"strconv"
	"strings"
)

// Configurable is a value that the operator sets. Int makes one.
type Configurable struct {
	key   string
	value int64
}

// configuration of the module: it has one, which is set before the first decision and never again.
var configuration struct {
	ints  []*Configurable
	parse func([]byte) error
}

// Int declares a line `key=integer` of the configuration, which may be absent. Call it once per key, from a package variable:
//
//	var perCopy = policy.Int("per_copy", 100)
//
// A configuration with a key that was not declared, or with a value that is not an integer, is refused before it is used.
func Int(key string, fallback int64) *Configurable {
	c := &Configurable{key, fallback}
	configuration.ints = append(configuration.ints, c)
	return c
}

// Value in the configuration, or the fallback.
func (c *Configurable) Value() int64 { return c.value }

// OnConfigure replaces the reading of lines: parse gets the whole configuration once, before the first decision, and
// nothing when there is none. Its error refuses the module, and is logged.
func OnConfigure(parse func(config []byte) error) { configuration.parse = parse }

// Configure is what the host calls with the configuration. It is exported for tests of policies.
func Configure(config []byte) error {
	if configuration.parse != nil {
		return configuration.parse(config)
	}
	return setInts(config, configuration.ints)
}

func setInts(config []byte, ints []*Configurable) error {
	values, err := ParseInts(config)
	if err != nil {
		return err
	}
	known := 0
	for _, c := range ints {
		if _, ok := values[c.key]; ok {
			known++
		}
	}
	if known < len(values) {
		return errors.New("unknown key in the configuration: " + unknown(values, ints) + "; there are: " + keys(ints))
	}
	for _, c := range ints {
		if value, ok := values[c.key]; ok {
			c.value = value
		}
	}
	return nil
}

// unknown key that is first in the alphabet: the same words each time.
func unknown(values map[string]int64, ints []*Configurable) string {
	first := ""
	for key := range values {
		declared := false
		for _, c := range ints {
			declared = declared || c.key == key
		}
		if !declared && (first == "" || key < first) {
			first = key
		}
	}
	return first
}

func keys(ints []*Configurable) string {
	var names []string
	for _, c := range ints {
		names = append(names, c.key)
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}

// ParseInts reads lines of key=integer. Blank lines and those that begin with # are left out; the last of a key counts.
func ParseInts(config []byte) (map[string]int64, error) {
	values := map[string]int64{}
	for line := range strings.Lines(string(config)) {
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		key, text, found := strings.Cut(line, "=")
		value, err := strconv.ParseInt(strings.Trim(text, " \t"), 10, 64)
		if !found || err != nil {
			return nil, errors.New("the configuration has a line that is not key=integer: " + line)
		}
		values[strings.Trim(key, " \t")] = value
	}
	return values, nil
}
