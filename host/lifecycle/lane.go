package lifecycle

// lane runs tasks of one kind, some at once, the rest in order. It belongs to the loop's goroutine. It never holds more
// than one task for a model, so the catalog bounds it.
type lane struct {
	width, running int
	queue          []func()
}

// run starts a task on a goroutine of the task's own making, now or when its turn comes.
func (l *lane) run(start func()) {
	if l.running == l.width {
		l.queue = append(l.queue, start)
		return
	}
	l.running++
	start()
}

// done ends a task.
func (l *lane) done() {
	l.running--
	if len(l.queue) > 0 {
		start := l.queue[0]
		l.queue = l.queue[1:]
		l.run(start)
	}
}

// forget drops what has not started.
func (l *lane) forget() { l.queue = nil }
