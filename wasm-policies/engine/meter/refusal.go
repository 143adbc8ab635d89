package meter

import "fmt"

// Rule names the rule that a refused module breaks. The set is closed, so that it may label a metric.
type Rule string

// The rules.
const (
	RuleFormat  Rule = "format"  // the bytes are not a well-formed module
	RuleLimit   Rule = "limit"   // a count or a size exceeds Limits
	RuleIndex   Rule = "index"   // an index is outside its index space
	RuleOpcode  Rule = "opcode"  // an instruction that is not known
	RuleFeature Rule = "feature" // a proposal or feature that is known but not allowed
	RuleImport  Rule = "import"  // an import that is not allowed
	RuleExport  Rule = "export"  // an export that is not allowed
)

// Refusal tells why a module is refused.
type Refusal struct {
	Rule   Rule
	Detail string // names the offending import, export, instruction, index or limit
	Offset int    // in the module, in bytes, at or just after what offends
}

// Error returns the rule, the detail and the place.
func (r *Refusal) Error() string {
	return fmt.Sprintf("module refused: %s: %s (at byte %#x)", r.Rule, r.Detail, r.Offset)
}

// within puts the place in front of the detail.
func (r *Refusal) within(place string) { r.Detail = place + ": " + r.Detail }
