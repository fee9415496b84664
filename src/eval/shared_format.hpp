// Question and answer in the fields that AIME, AMC, MATH-500, GSM8K and GPQA files use.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "eval/question.hpp"

namespace vase::eval {

/// Reads one object; the grader is choice if it has choices or they stand in the question, else
/// latex. Choices are written under it as "A. ..."; if the right one is named by its text (files
/// give it first), in an order that depends on the question alone. The id is "" if the object has
/// none. Throws Error that names what is missing.
Question read_shared(const nlohmann::json &object, const std::string &task);

/// Whether its answer may be an expression, and is to be compared as one.
bool is_mathematics(const nlohmann::json &object);

/// What is written behind a question, so that the model says its answer where a grader looks.
std::string instruction_for(Grader grader);

/// True if all of `text` is one number: "1,024", "-3.50", "$18".
bool is_number(const std::string &text);

}  // namespace vase::eval
