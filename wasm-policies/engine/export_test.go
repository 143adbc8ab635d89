package engine

// SetConfig changes what instances made from now on are configured with: a way to have making them fail.
func (p *Program) SetConfig(config []byte) { p.config = config }
