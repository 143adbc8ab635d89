package storage

import (
	"log/slog"
	"path/filepath"
)

const (
	// DefaultMaxFiles is above every model layout seen in the wild and bounds what one listing may cost in memory.
	DefaultMaxFiles = 10_000
	// DefaultPullConcurrency saturates a 10 Gbit/s link at S3's usual 80 to 100 MB/s per connection.
	DefaultPullConcurrency = 10
	// DefaultPartBytes keeps the cost of one more request below a percent of its transfer, and lets a model of a few
	// hundred MB use all connections.
	DefaultPartBytes = 16 << 20
)

// Config says where a Store works and what bounds it. Zero values mean the default where there is one.
type Config struct {
	// ModelsDir is shared with the runtime: models appear below it, the cache is .cache in it. One Store per directory.
	ModelsDir string
	// DiskBudgetBytes bounds cached and arriving objects together. Required.
	DiskBudgetBytes int64
	// MaxModelBytes bounds one model; default DiskBudgetBytes. It also holds for a volume, which takes no disk here.
	MaxModelBytes int64
	// MaxFiles bounds the objects of one model; default DefaultMaxFiles.
	MaxFiles int
	// PullConcurrency bounds connections that download, over all pulls; default DefaultPullConcurrency.
	PullConcurrency int
	// PartBytes is the size of the ranges that an object is downloaded in; default DefaultPartBytes.
	PartBytes int64
	// PVCRoot has each PersistentVolumeClaim mounted under its name ("/pvc_mounts"). Empty: only PVCs.
	PVCRoot string
	// PVCs gives claims a directory of their own, for hosts outside a cluster. Wins over PVCRoot.
	PVCs map[string]string
	// FileRoots are the directories below which storage of type file may read. Empty: none.
	FileRoots []string
	// Logger gets what happened, at debug level; it never gets a credential. Default: nowhere.
	Logger *slog.Logger
}

func (c *Config) setDefaults() error {
	if !filepath.IsAbs(c.ModelsDir) {
		return errorf(Misconfigured, "models directory %q must be an absolute path", c.ModelsDir)
	}
	if c.DiskBudgetBytes <= 0 {
		return errorf(Misconfigured, "disk budget is %d bytes; it must be above 0", c.DiskBudgetBytes)
	}
	c.ModelsDir = filepath.Clean(c.ModelsDir)
	if c.MaxModelBytes <= 0 {
		c.MaxModelBytes = c.DiskBudgetBytes
	}
	if c.MaxFiles <= 0 {
		c.MaxFiles = DefaultMaxFiles
	}
	if c.PullConcurrency <= 0 {
		c.PullConcurrency = DefaultPullConcurrency
	}
	if c.PartBytes <= 0 {
		c.PartBytes = DefaultPartBytes
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
