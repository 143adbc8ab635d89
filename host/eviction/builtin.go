package eviction

import "github.com/wasmesh/wasmesh/sdk/policyabi"

// Fits reports whether a request is one that modules take. Asked with more, a module would be refused its memory, which
// counts as a failure of the module.
func Fits(request *policyabi.EvictRequest) bool { return request.Size() <= policyabi.MaxRequestBytes }

// Decide has a policy in Go (builtin.Policy.Decide) answer a request that need not fit. Errors wrap policyabi.ErrRequest
// and policyabi.ErrAnswer.
func Decide(request *policyabi.EvictRequest, policy func(request []byte) (answer []byte, err error)) ([]policyabi.EvictAnswer, error) {
	buffer := make([]byte, request.Size())
	request.Encode(buffer)
	answer, err := policy(buffer)
	if err != nil {
		return nil, err
	}
	return policyabi.DecodeEvictAnswers(answer, len(request.Rows))
}
