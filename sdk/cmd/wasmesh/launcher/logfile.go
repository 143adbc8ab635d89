package launcher

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

const (
	// maxLogBytes bounds what one process keeps on disk: this much, and as much again in the file before.
	maxLogBytes = 16 << 20
	// maxTailBytes bounds what is kept in memory of the end of a log.
	maxTailBytes = 1 << 10
)

// logFile is an append-only log that moves itself aside to "<path>.1" when it is full.
type logFile struct {
	path  string
	limit int64

	mu      sync.Mutex // guards below
	file    *os.File   // nil once closed, or when no file can be written
	written int64
	// tail is the end of what was written since the log was opened.
	tail []byte
}

func openLog(path string, limit int64) (*logFile, error) {
	l := &logFile{path: path, limit: limit}
	return l, l.open()
}

func (l *logFile) open() error {
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return fmt.Errorf("open log: %w", err)
	}
	l.file, l.written = file, info.Size()
	return nil
}

// Write never fails a child for want of a log: what cannot be written is dropped.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	l.tail = append(l.tail[:0], l.tail[max(0, len(l.tail)-maxTailBytes):]...)
	if l.file == nil {
		return len(p), nil
	}
	if l.written > 0 && l.written+int64(len(p)) > l.limit {
		l.file.Close()
		l.file = nil
		if os.Rename(l.path, l.path+".1") != nil || l.open() != nil {
			return len(p), nil
		}
	}
	n, _ := l.file.Write(p)
	l.written += int64(n)
	return len(p), nil
}

// lastLine is the last one with anything in it, since the log was opened; at most maxTailBytes of it.
func (l *logFile) lastLine() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := bytes.TrimSpace(l.tail)
	if len(text) == 0 {
		return "(nothing)"
	}
	return string(bytes.TrimSpace(text[bytes.LastIndexByte(text, '\n')+1:]))
}

func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
