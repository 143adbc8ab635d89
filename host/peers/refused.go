package peers

// CountRefused counts what the peer listener turned away before it came here, by reason; a wrong token CheckToken has
// counted already.
func (p *Peers) CountRefused(reason string) {
	if reason != refusedToken {
		p.metrics.refused(reason)
	}
}
