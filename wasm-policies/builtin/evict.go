package builtin

import "github.com/wasmesh/wasmesh/sdk/policyabi"

// EvictCostAware keeps what would soon be loaded again at a high price for the memory it takes: expected use x load time /
// size, divided by the number of copies that share the use. See expectedUse and worth.
func EvictCostAware(v policyabi.EvictView, a *policyabi.EvictAnswers) {
	now, scale := nowOf(&v), scaleOf(v.Context())
	bursts := burstShare(&v, now)
	for i := range v.Len() {
		row := v.Row(i)
		use, fresh := expectedUse(row, now, bursts)
		reason := policyabi.ReasonRate
		if fresh {
			reason = policyabi.ReasonFresh
		}
		a.Add(i, inTier(row.Priority(), compress(worth(row, use, scale))), reason)
	}
}

// EvictLRU keeps what was used last, to the millisecond within the last 70 minutes, and to a two-millionth of the time
// since before that. A copy with requests in flight is in use now.
func EvictLRU(v policyabi.EvictView, a *policyabi.EvictAnswers) {
	now := nowOf(&v)
	for i := range v.Len() {
		row := v.Row(i)
		a.Add(i, inTier(row.Priority(), tierWidth-1-compress(uint64(idle(row, now)))), policyabi.ReasonRecency)
	}
}

// EvictGDSF is Greedy-Dual-Size-Frequency: requests since the load x load time / size, on top of the clock at the last use.
// What a row says of the clock is how far it has moved since, so that the answer is what is left of the value.
func EvictGDSF(v policyabi.EvictView, a *policyabi.EvictAnswers) {
	scale := scaleOf(v.Context())
	for i := range v.Len() {
		row := v.Row(i)
		uses := int64(min(max(row.Uses(), 1), maxUses))
		value := uses * loadMs(row) * 512 / scale.of(row)
		left := value - min(max(row.Inflation(), 0), maxInflation)
		a.Add(i, inTier(row.Priority(), min(max(left, 0), tierWidth-1)), policyabi.ReasonFrequency)
	}
}
