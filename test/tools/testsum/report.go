package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
)

// event is one line of `go test -json` (go doc test2json; the build-* actions: go help buildjson).
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
	// ImportPath is the package of a build-* action.
	ImportPath string
	// FailedBuild is set on the failure of a package that did not build.
	FailedBuild string
}

// report counts test cases and prints one line for each package, and the whole output of what failed.
type report struct {
	out                     io.Writer
	passed, failed, skipped int
	// running holds what each unfinished package has said so far.
	running map[string]*pkg
}

// pkg is one package whose tests run now.
type pkg struct {
	cases    int
	failures int
	// output by test, "" for what belongs to none; an entry exists from a test's start to its end.
	output map[string]*strings.Builder
}

// maxOutput bounds what is kept of one test's output, which is only shown if it fails.
const maxOutput = 1 << 20

func newReport(out io.Writer) *report {
	return &report{out: out, running: make(map[string]*pkg)}
}

// read takes the events of one run. Lines that are no events are shown as they are.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.add(e)
			} else {
				fmt.Fprintf(r.out, "%s\n", strings.TrimRight(string(line), "\n"))
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read go test's events: %w", err)
		}
	}
}

func (r *report) add(e event) {
	if e.Action == "build-output" {
		fmt.Fprint(r.out, e.Output)
		return
	}
	if e.Package == "" {
		return
	}
	p := r.running[e.Package]
	if p == nil {
		p = &pkg{output: map[string]*strings.Builder{"": {}}}
		r.running[e.Package] = p
	}
	switch e.Action {
	case "run":
		p.output[e.Test] = &strings.Builder{}
	case "output":
		p.say(e.Test, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e, p)
			delete(r.running, e.Package)
		} else {
			r.endTest(e, p)
		}
	}
}

// say keeps output under its test, or under none for a test that has ended.
func (p *pkg) say(test, output string) {
	kept := p.output[test]
	if kept == nil {
		kept = p.output[""]
	}
	if kept.Len()+len(output) <= maxOutput {
		kept.WriteString(output)
	}
}

func (r *report) endTest(e event, p *pkg) {
	p.cases++
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped++
	case "fail":
		r.failed++
		p.failures++
		if kept := p.output[e.Test]; kept != nil {
			fmt.Fprintf(r.out, "%s\n%s", e.Package, kept.String())
		}
	}
	delete(p.output, e.Test)
}

func (r *report) endPackage(e event, p *pkg) {
	if e.Action == "fail" {
		r.endFailedPackage(e, p)
		return
	}
	if p.cases > 0 {
		fmt.Fprintf(r.out, "ok    %s  %d cases  %.1f s\n", e.Package, p.cases, e.Elapsed)
	}
}

// endFailedPackage counts the tests that a panic, an exit or the time limit cut off, and, where no test is to blame
// (the build, TestMain), the package itself.
func (r *report) endFailedPackage(e event, p *pkg) {
	var cut []string
	for test := range p.output {
		if test != "" {
			cut = append(cut, test)
		}
	}
	sort.Strings(cut)
	for _, test := range cut {
		fmt.Fprintf(r.out, "%s\n%s--- CUT OFF: %s\n", e.Package, p.output[test].String(), test)
	}
	r.failed += len(cut)
	if p.failures+len(cut) == 0 {
		r.failed++
	}
	fmt.Fprint(r.out, p.output[""].String())
	reason := ""
	if e.FailedBuild != "" {
		reason = "  does not build"
	}
	fmt.Fprintf(r.out, "FAIL  %s%s\n", e.Package, reason)
}

// summary is the line that ends the output.
func (r *report) summary() string {
	line := fmt.Sprintf("%d passed, %d failed", r.passed, r.failed)
	if r.skipped > 0 {
		line += fmt.Sprintf(", %d skipped", r.skipped)
	}
	return line
}
