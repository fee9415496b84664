#include "tasks/words.hpp"

namespace vase::tasks {

const std::vector<std::string>& people() {
  static const std::vector<std::string> list = {
      "Anna", "Ben",   "David",  "Frank", "Henry", "Jack",  "Mary",   "Paul",
      "Rose", "Sam",   "Tom",    "Alice", "Bob",   "Dan",   "Fred",   "James",
      "Nick", "Peter", "Sarah",  "Tim",   "Max",   "Lily",  "Adam",   "Jane",
      "John", "Simon", "Martin", "Maria", "Maya",  "Emily", "Daniel", "Robert"};
  return list;
}

const std::vector<std::string>& things() {
  static const std::vector<std::string> list = {
      "key",  "coin",  "hat",   "map",  "pen",   "cup",    "ring",   "bell",  "book",  "ball",
      "card", "stone", "shell", "flag", "clock", "box",    "mask",   "plate", "stamp", "brush",
      "boot", "torch", "lamp",  "drum", "rope",  "candle", "mirror", "flute", "spoon", "medal"};
  return list;
}

const std::vector<std::string>& towns() {
  static const std::vector<std::string> list = {
      "Paris",  "London", "Rome",   "Boston", "Oxford",  "Tokyo",   "Berlin", "Madrid",
      "Vienna", "Oslo",   "Lima",   "Cairo",  "Delhi",   "Dublin",  "Athens", "Prague",
      "Lisbon", "Moscow", "Denver", "Dallas", "Seattle", "Miami",   "Sydney", "Milan",
      "Venice", "Geneva", "Warsaw", "Tehran", "Havana",  "Houston", "Leeds",  "York"};
  return list;
}

const std::vector<std::string>& traits() {
  static const std::vector<std::string> list = {
      "calm",   "rich",   "loud",   "tall",    "brave",  "wise",   "quick", "kind",
      "proud",  "shy",    "warm",   "strong",  "quiet",  "happy",  "sad",   "young",
      "clever", "honest", "polite", "funny",   "lucky",  "busy",   "neat",  "gentle",
      "hungry", "tired",  "famous", "healthy", "bright", "patient"};
  return list;
}

const std::vector<std::string>& colours() {
  static const std::vector<std::string> list = {"red",    "blue",   "green",  "black", "white",
                                                "gold",   "brown",  "purple", "gray",  "orange",
                                                "yellow", "silver", "pink"};
  return list;
}

const std::vector<std::string>& machines() {
  static const std::vector<std::string> list = {"press", "mill",  "oven",  "wheel", "filter",
                                                "drill", "saw",   "forge", "pump",  "crane",
                                                "mixer", "tower", "gate"};
  return list;
}

Voice draw_voice(Rng& rng) {
  static const std::vector<std::string> openings = {
      "Okay, let me work through this step by step.", "Let me think about this carefully.",
      "I will take this one part at a time.", "Let me go through it slowly and check as I go.",
      "First I read the question again, then I start."};
  static const std::vector<std::string> checks = {"Check", "Let me check", "To be sure"};
  static const std::vector<std::string> goods = {"Good.", "Right.", "Yes.", "That fits."};
  static const std::vector<std::string> looks = {"Second look", "Wait, another look",
                                                 "Let me look again"};
  static const std::vector<std::string> closings = {"Now I put it all together.",
                                                    "All parts are done, so now the result.",
                                                    "That was the last part. Now the result."};
  return {rng.pick(openings), rng.pick(checks), rng.pick(goods), rng.pick(looks),
          rng.pick(closings)};
}

std::string join(const std::vector<std::string>& items, const std::string& separator) {
  std::string text;
  for (const std::string& item : items) {
    if (!text.empty()) text += separator;
    text += item;
  }
  return text;
}

std::string join_and(const std::vector<std::string>& items) {
  std::string text;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += i + 1 == items.size() ? " and " : ", ";
    text += items[i];
  }
  return text;
}

}  // namespace vase::tasks
