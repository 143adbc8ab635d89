package decisions

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The document of the ABI says the same of every reason.
func TestReasonsAreThoseOfTheABI(t *testing.T) {
	document, err := os.ReadFile("../../../../docs/policy-abi.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := Reasons()
	if len(reasons) < 15 {
		t.Errorf("%d reasons", len(reasons))
	}
	for i, r := range reasons {
		if line := fmt.Sprintf("| %d | %s | %s |\n", i+1, r.Word, r.Meaning); !strings.Contains(string(document), line) {
			t.Errorf("the document has no line %q", line)
		}
		if ReasonMeaning(r.Word) != r.Meaning {
			t.Errorf("%s means %q", r.Word, ReasonMeaning(r.Word))
		}
	}
	if got := ReasonMeaning("1000"); got != "" {
		t.Errorf("1000 means %q", got)
	}
}
