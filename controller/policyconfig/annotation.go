package policyconfig

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wasmesh/wasmesh/controller/decide"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// Sort puts declarations into the order of Input.Declarations.
func Sort(declarations []Declaration) {
	slices.SortFunc(declarations, func(a, b Declaration) int { return strings.Compare(a.Name, b.Name) })
}

// Annotations answers what should be written on each ConfigMap: for each hook its phase, with the number of hosts on which
// it is in the role that it should have, or why it is not: "evict: programmed 2/2".
func Annotations(namespace string, policies []*adminv1.ListPoliciesResponse_Policy) map[decide.Key]string {
	texts := map[decide.Key]string{}
	for _, p := range policies {
		text := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(p.GetPhase().String(), "POLICY_PHASE_"), "_", " "))
		if p.GetHook() != "" {
			text = p.GetHook() + ": " + text
		}
		if p.GetPhase() == adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED || p.GetPhase() == adminv1.PolicyPhase_POLICY_PHASE_SHADOW {
			text += fmt.Sprintf(" %d/%d", p.GetProgrammed(), p.GetHosts())
		}
		if p.GetMessage() != "" {
			text += ": " + p.GetMessage()
		}
		key := objectOf(namespace, p.GetName())
		if texts[key] != "" {
			text = texts[key] + "; " + text
		}
		texts[key] = text
	}
	return texts
}

// objectOf is the ConfigMap of a policy's name, which begins with a namespace when that is not the mesh's.
func objectOf(namespace, policy string) decide.Key {
	key := decide.Key{Namespace: namespace, Kind: KindConfigMap, Name: policy}
	if other, name, foreign := strings.Cut(policy, "/"); foreign {
		key.Namespace, key.Name = other, name
	}
	return key
}
