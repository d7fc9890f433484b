"""What a target costs before anything starts: jobs, hours, downloads and disk, from the catalog and measured rates."""
