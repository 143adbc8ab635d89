package node

import "context"

// part is one of the loops that make a host.
type part struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// begin runs a part until it is ended; its failure is reported once. failures must have room for every part.
func begin(failures chan<- error, run func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			failures <- err
		}
	}()
	return p
}

func (p *part) end() {
	p.cancel()
	<-p.done
}

// ended reports whether the part has ended, by itself or not.
func (p *part) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
