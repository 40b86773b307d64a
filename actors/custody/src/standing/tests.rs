//! Every directive against what it needs.
