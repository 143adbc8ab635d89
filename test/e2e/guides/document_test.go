//go:build cluster

package guides

import (
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/test/cluster/terminal"
)

// guide is a document whose commands are run in its order, in one shell.
type guide struct {
	t        *testing.T
	document string
	shell    *terminal.Shell
	left     []terminal.Block
	yours    *strings.Replacer
}

// read begins a document. A test that is over has run all of it.
func read(t *testing.T, document string) *guide {
	t.Helper()
	blocks, err := theCluster.Blocks(document)
	if err != nil {
		t.Fatal(err)
	}
	g := &guide{t: t, document: document, shell: theCluster.Shell(t), left: blocks, yours: strings.NewReplacer()}
	t.Cleanup(func() {
		if len(g.left) > 0 && !t.Failed() {
			t.Errorf("%s has commands in section %q: what is new has to be tried here", document, g.left[0].Section)
		}
	})
	return g
}

// replace has what the document asks the reader to put in, instead of what stands there.
func (g *guide) replace(there, yours string) { g.yours = strings.NewReplacer(there, yours) }

// section runs the commands of the next section, which must be this one, and answers what they printed.
func (g *guide) section(title string) string {
	g.t.Helper()
	var said strings.Builder
	for len(g.left) > 0 && g.left[0].Section == title {
		out := g.shell.Run(g.yours.Replace(g.left[0].Commands))
		g.t.Logf("%s\n%s", title, out)
		said.WriteString(out)
		g.left = g.left[1:]
	}
	if said.Len() == 0 {
		g.t.Fatalf("%s has no commands in section %q now", g.document, title)
	}
	return said.String()
}
