// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policy

// Version of the ABI that this SDK is of, and the first four bytes of every request.
const (
	Major = 1
	Minor = 0
	Magic = 0x3152504d
)
