package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"
)

const (
	// pollServices is how often the announcement looks.
	pollServices = 200 * time.Millisecond
	// maxFailures bounds the lines about services that fail while the mesh starts; `wasmesh get` shows them all.
	maxFailures = 5
)

// announcer says what becomes of the declared services: while the mesh starts, which fail, and that one can be asked;
// afterwards (see news.go) what changes.
type announcer struct {
	client *client
	out    io.Writer
	// program and dataDir as the user typed them, for commands to paste.
	program, dataDir string
	// said keeps a line from being repeated; bounded by what the sources declare.
	said map[string]bool
	// failures counts lines about them.
	failures int
	// hints: say what to type when the mesh is up.
	hints bool
	news  news
}

// run returns when ctx ends.
func (a *announcer) run(ctx context.Context) {
	ticker := time.NewTicker(pollServices)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// An error is a controller that is not there yet, or not any more: the launcher says so.
		if done, err := a.look(ctx); err == nil && done {
			a.follow(ctx)
			return
		}
	}
}

// look says what is new and reports whether a service can be asked.
func (a *announcer) look(ctx context.Context) (done bool, err error) {
	services, warnings, err := a.client.services(ctx)
	if err != nil {
		return false, err
	}
	for _, warning := range warnings {
		a.once("Warning: " + warning)
	}
	a.news.note(services, warnings)
	failed := 0
	for _, s := range services {
		if s.failed() {
			failed++
			a.fail(s)
		}
		if !s.ready() {
			continue
		}
		hosts, _, err := a.client.hostsFor(ctx, s.namespace, s.name)
		if err != nil {
			return false, err
		}
		if len(hosts) > 0 { // else it was ready before the mesh was stopped, and its host has not come yet
			a.up(s, hosts[0].GetHello().GetRestAddress())
			return true, nil
		}
	}
	if failed > 0 && failed == len(services) {
		a.once(fmt.Sprintf("The mesh is up, but no model could be loaded; edits of the files are taken up. Ctrl-C stops it. Try, in another terminal:\n  %s\n  %s",
			a.command("get isvc -o wide"), a.command("describe "+services[0].words())))
	}
	return false, nil
}

func (a *announcer) once(line string) bool {
	if a.said[line] {
		return false
	}
	a.said[line] = true
	fmt.Fprintln(a.out, line)
	return true
}

// fail says once for each service and reason: the message may hold what changes with every attempt.
func (a *announcer) fail(s service) {
	key := s.kind + "/" + s.namespace + "/" + s.name + "/" + s.reason
	if a.said[key] || a.failures > maxFailures {
		return
	}
	a.said[key] = true
	if a.failures++; a.failures > maxFailures {
		fmt.Fprintf(a.out, "more services failed; `%s` shows them\n", a.command("get isvc -o wide"))
		return
	}
	fmt.Fprintf(a.out, "%s; see `%s`\n", s.failure(), a.command("describe "+s.words()))
}

func (a *announcer) up(s service, restAddress string) {
	hints := ""
	if a.hints {
		hints = fmt.Sprintf(" Try, in another terminal:\n  %s\n  %s\n  curl http://%s/v2/models/%s",
			a.command("get isvc"), a.command("describe "+s.words()), reachable(restAddress), s.name)
	}
	fmt.Fprintf(a.out, "%s %s: %s\nThe mesh is up; Ctrl-C stops it.%s\n", s.kind, s.name, s.state, hints)
}

// command is what to type for a command against this mesh.
func (a *announcer) command(words string) string {
	if a.dataDir == defaultDataDir {
		return shellWord(a.program) + " " + words
	}
	return fmt.Sprintf("%s %s --data-dir %s", shellWord(a.program), words, shellWord(a.dataDir))
}

var plainWord = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// shellWord quotes what a shell would take apart.
func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// reachable turns the address of a listener into one to connect to.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return address
	}
	return net.JoinHostPort("127.0.0.1", port)
}
