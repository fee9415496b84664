// Deduction: rules by which traits follow from traits, and people who start with some of them.
// Asked is how many traits those have in all who end up with a certain trait.
//
// The chain takes each person in turn and tries the rules in passes until a pass adds nothing. A
// line recalls one rule from the question (keyed by its number), says whether it applies, and
// restates what is known (traits of this pass after a plus), which rules are still to try and
// which wait for the next pass. Working set of a step: the line before it, at most about 90
// tokens. Late recalls: rules and start traits from the question, each person's count at the end.
#include <algorithm>

#include "tasks/tasks.hpp"
#include "tasks/words.hpp"

namespace vase::tasks {
namespace {

struct Rule {
  std::vector<int> needs;
  int gives;
};

struct World {
  std::vector<std::string> names;  // of the traits
  std::vector<Rule> rules;
  int goal = 0;
  int starts = 0;  // traits 0..starts-1 can be had from the start

  const std::string& name(int trait) const { return names[static_cast<std::size_t>(trait)]; }
};

struct Person {
  std::string name;
  std::vector<int> start;
  std::vector<int> traits;  // in the end
};

bool contains(const std::vector<int>& list, int item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

World random_world(Rng& rng, int traits, int rules) {
  World world;
  world.names = rng.sample(tasks::traits(), traits);
  world.starts = rng.between(3, 4);
  world.goal = rng.between(traits - 2, traits - 1);
  for (int i = 0; i < rules; ++i) {
    // Each later trait has one rule from traits before it; further rules are free.
    const bool first = world.starts + i < traits;
    Rule rule{{}, first ? world.starts + i : rng.between(world.starts, traits - 1)};
    const int highest = first ? rule.gives - 1 : traits - 1;
    const int count = rng.chance(65) ? 2 : 1;
    while (static_cast<int>(rule.needs.size()) < count) {
      const int need = rng.between(std::max(0, first ? rule.gives - 5 : 0), highest);
      if (need != rule.gives && !contains(rule.needs, need)) rule.needs.push_back(need);
    }
    world.rules.push_back(rule);
  }
  rng.shuffle(world.rules);
  return world;
}

std::string rule_text(const World& world, const Rule& rule) {
  std::vector<std::string> needs;
  for (const int need : rule.needs) needs.push_back(world.name(need));
  return cat(join_and(needs), needs.size() == 1 ? " makes " : " make ", world.name(rule.gives));
}

std::string trait_list(const World& world, const std::vector<int>& traits) {
  std::vector<std::string> names;
  for (const int trait : traits) names.push_back(world.name(trait));
  return join(names);
}

std::string number_list(const std::vector<int>& numbers) {
  std::vector<std::string> texts;
  for (const int number : numbers) texts.push_back(cat(number));
  return texts.empty() ? "none" : join(texts);
}

/// What is known of a person while the rules are tried.
struct Progress {
  std::vector<int> known;
  std::vector<int> added;    // in this pass
  std::vector<int> to_try;   // rules of this pass, numbered from 1
  std::vector<int> waiting;  // rules for the next pass

  bool has(int trait) const { return contains(known, trait) || contains(added, trait); }
};

std::string progress_text(const World& world, const Progress& progress) {
  return cat("Known: ", trait_list(world, progress.known),
             progress.added.empty() ? "" : cat(" + ", trait_list(world, progress.added)),
             ". To try: ", number_list(progress.to_try),
             ". Waiting: ", number_list(progress.waiting), ".");
}

void try_next_rule(ChainText& chain, const World& world, Progress& progress) {
  const int number = progress.to_try.front();
  progress.to_try.erase(progress.to_try.begin());
  const Rule& rule = world.rules[static_cast<std::size_t>(number) - 1];
  std::string verdict;
  const auto missing = std::find_if(rule.needs.begin(), rule.needs.end(),
                                    [&progress](int need) { return !progress.has(need); });
  if (progress.has(rule.gives)) {
    verdict = cat(world.name(rule.gives), " is known already");
  } else if (missing != rule.needs.end()) {
    verdict = cat(world.name(*missing), " is missing, so it waits");
    progress.waiting.push_back(number);
  } else {
    verdict = cat("it applies, so ", world.name(rule.gives), " is new");
    progress.added.push_back(rule.gives);
  }
  chain.line("Rule ", number, ": ", rule_text(world, rule), "; ", verdict, ". ",
             progress_text(world, progress));
}

/// Looks at all traits of a person once more and says whether the goal is among them.
void look_again(ChainText& chain, const Voice& voice, const World& world, const Person& person) {
  const bool reached = contains(person.traits, world.goal);
  chain.line(voice.second_look, " at ", world.name(world.goal), ": in the end ", person.name,
             " has ", trait_list(world, person.traits), ". ", world.name(world.goal),
             reached ? " is among them." : " is not among them.");
  if (!reached) {
    chain.line("So ", person.name, " does not become ", world.name(world.goal), " and counts 0.");
    return;
  }
  std::vector<std::string> counted;
  for (const int trait : person.traits) {
    counted.push_back(cat(static_cast<int>(counted.size()) + 1, " ", world.name(trait)));
  }
  chain.line("So ", person.name, " becomes ", world.name(world.goal), " and has ", join(counted),
             ". ", person.name, " counts ", static_cast<int>(counted.size()), ".");
}

void deduce(ChainText& chain, const Voice& voice, const World& world, Person& person) {
  chain.line(person.name, " starts ", trait_list(world, person.start), ".");
  Progress progress;
  progress.known = person.start;
  for (int i = 1; i <= static_cast<int>(world.rules.size()); ++i) progress.waiting.push_back(i);
  for (int pass = 1;; ++pass) {
    progress.to_try.swap(progress.waiting);
    chain.line("Pass ", pass, " for ", person.name, ". ", progress_text(world, progress));
    while (!progress.to_try.empty()) try_next_rule(chain, world, progress);
    const bool done = progress.added.empty();
    progress.known.insert(progress.known.end(), progress.added.begin(), progress.added.end());
    progress.added.clear();
    if (done) {
      chain.line("Pass ", pass, " added nothing, so ", person.name, " is done.");
      break;
    }
    if (progress.waiting.empty()) {
      chain.line("No rule waits, so ", person.name, " is done.");
      break;
    }
  }
  person.traits = progress.known;
  look_again(chain, voice, world, person);
}

}  // namespace

Draft make_deduction(Rng& rng, const Lengths& lengths) {
  const Voice voice = draw_voice(rng);
  const int rules = lengths.few_parts ? rng.between(5, 6) : rng.between(7, 10);
  const World world = random_world(rng, rules + rng.between(1, 2), rules);
  const std::vector<std::string> names = rng.sample(people(), 16);
  std::vector<int> first_traits;
  for (int trait = 0; trait < world.starts; ++trait) first_traits.push_back(trait);

  ChainText chain;
  chain.line(voice.opening);
  std::vector<Person> persons;
  const int goal = draw_goal(rng, lengths, rules * 70, 100);
  while (chain.tokens() < goal && persons.size() < names.size()) {
    Person person{names[persons.size()], rng.sample(first_traits, rng.between(1, 2)), {}};
    deduce(chain, voice, world, person);
    persons.push_back(person);
  }

  chain.line(voice.closing);
  int total = 0;
  for (std::size_t i = 0; i < persons.size(); ++i) {
    const int count =
        contains(persons[i].traits, world.goal) ? static_cast<int>(persons[i].traits.size()) : 0;
    if (i == 0) {
      chain.line(persons[i].name, " counts ", count, ".");
    } else {
      chain.line(persons[i].name, " counts ", count, ": ", total, " + ", count, " = ",
                 total + count, ".");
    }
    total += count;
  }
  chain.line("The total is ", total, ".");
  if (total == 0) return {};

  Draft draft;
  draft.question = "On an island these rules hold for everyone.\n";
  for (std::size_t i = 0; i < world.rules.size(); ++i) {
    draft.question +=
        cat("Rule ", static_cast<int>(i) + 1, ": ", rule_text(world, world.rules[i]), ".\n");
    for (const int need : world.rules[i].needs) draft.content += cat(need, "+");
    draft.content += cat(world.rules[i].gives, ";");
  }
  for (const Person& person : persons) {
    draft.question += cat(person.name, " starts ", trait_list(world, person.start), ".\n");
    for (const int trait : person.start) draft.content += cat(trait, ",");
    draft.content += ";";
  }
  draft.content += cat(world.goal);
  draft.question +=
      cat("Apply the rules until nothing changes. Who becomes ", world.name(world.goal),
          " counts the traits that he or she has in the end, the others count 0. "
          "What is the total?");
  draft.chain = chain.text();
  draft.answer = cat(total);
  return draft;
}

}  // namespace vase::tasks
