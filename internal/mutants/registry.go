package main

func ofRegistry() []mutant {
	return []mutant{{
		name: "LISTEN before the first read",
		file: "registry/follow.go",
		old:  "\tif _, err := conn.Exec(ctx, \"LISTEN \"+channel); err != nil {\n\t\treturn false, err\n\t}\n\tfor {\n\t\tif err := f.catchUp(ctx, conn); err != nil {\n\t\t\treturn worked, err\n\t\t}\n",
		new:  "\tfor {\n\t\tif err := f.catchUp(ctx, conn); err != nil {\n\t\t\treturn worked, err\n\t\t}\n\t\tif !worked {\n\t\t\tif _, err := conn.Exec(ctx, \"LISTEN \"+channel); err != nil {\n\t\t\t\treturn false, err\n\t\t\t}\n\t\t}\n",
		test: "./registry TestFollowMissesNothingWhileItsListenerIsKilled|TestFollowTellsOfEveryKindOfChange",
	}, {
		name: "the read of what was missed after a reconnect",
		file: "registry/follow.go",
		old:  "\tfor {\n\t\tif err := f.catchUp(ctx, conn); err != nil {",
		new:  "\tf.last = unknown\n\tf.registry.born = time.Now()\n\tfor {\n\t\tif err := f.catchUp(ctx, conn); err != nil {",
		test: "./registry TestFollowMissesNothingWhileItsListenerIsKilled",
	}, {
		name: "versions without gaps",
		file: "registry/resync.go",
		old:  "first.version == nil || *first.version != f.last+1",
		new:  "first.version == nil",
		test: "./registry TestAFollowerThatWasAwayLongerThanChangesAreKeptHearsOfEveryTenant|TestAFeedThatWentBackIsFollowedFromWhereItIs",
	}}
}
