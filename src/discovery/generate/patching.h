// What all EnvoyFilter patches share: which patches hold for a proxy, and how a patch's JSON is
// laid over a message.
#pragma once

#include <google/protobuf/message.h>

#include <vector>

#include "discovery/scope.h"

namespace lateen::discovery {

using Patch = mesh::EnvoyFilter::Patch;
using ApplyTo = mesh::EnvoyFilter::ApplyTo;
using PatchContext = mesh::EnvoyFilter::Context;
using PatchOperation = mesh::EnvoyFilter::Operation;

// Patches for `apply_to` that select this proxy and context, in order of priority and age.
std::vector<const Patch*> patches_for(const View& view, ApplyTo apply_to, PatchContext context);

// Reads the patch's value into `into` (empty before). False when the JSON is no such message;
// logged.
bool read_patch(const Patch& patch, google::protobuf::Message& into);
// Lays the patch's value over `target`; an Any of the same type is merged inside.
void merge_patch(const Patch& patch, google::protobuf::Message& target);
enum class Lists : unsigned char { kGrown, kReplaced };
void merge_messages(const google::protobuf::Message& from, google::protobuf::Message& to,
                    Lists lists = Lists::kGrown);
inline bool is_merge(PatchOperation operation) {
  return operation == PatchOperation::kMerge || operation == PatchOperation::kMergeReplacingLists;
}

// Inserts by the operation, relative to `at` (or the ends when nothing matched and that makes
// sense).
template <typename List, typename Item>
void insert_item(PatchOperation operation, int at, Item item, List& list) {
  *list.Add() = std::move(item);
  int to = list.size() - 1;
  int wanted = to;
  if (operation == PatchOperation::kInsertFirst) wanted = 0;
  if (operation == PatchOperation::kInsertBefore) wanted = at < 0 ? to : at;
  if (operation == PatchOperation::kInsertAfter) wanted = at < 0 ? to : at + 1;
  for (; to > wanted; --to) list.SwapElements(to, to - 1);
}

}  // namespace lateen::discovery
